// The words of the page, in the language that the kernel sent with the layout.

/** t("came", {change: "+3"}) is the phrase of that key with its places filled in. */
function translator(words) {
  return (key, values = {}) =>
    (words[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}
