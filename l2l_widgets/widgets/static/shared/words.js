// The words of the page, in the language that the kernel sent: no script has any of its own.

// A widget's module is imported anew for each model, so these are the words of one view.
let words = {};
let language = "en";
let decimal = ".";

/** Take the words that the kernel sent with the view. */
function speak(sent) {
  ({ ui: words, language, decimal } = sent);
}

/** t("came", {change: "+3"}) is the phrase of that key with its places filled in. */
function t(key, values = {}) {
  return (words[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

/** A number with so many digits behind the point, or what this language has for one. */
function fixed(value, digits) {
  return value.toFixed(digits).replace("-", "\u2212").replace(".", decimal);
}

/** A number with so many digits that count. */
function precise(value, digits) {
  return value.toPrecision(digits).replace("-", "\u2212").replace(".", decimal);
}
