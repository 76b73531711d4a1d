// The line to the kernel: at most a few requests under way, the newest wins, and no answer is noticed.

/** Send, also where the kernel went first: nobody hears it then, and the missing answer is what tells. */
function sendQuietly(model, message) {
  try {
    Promise.resolve(model.send(message)).catch(() => {});
  } catch {
    // as above
  }
}

/**
 * `post(message, continuous)`: a continuous message (a slider under the finger) may be replaced by a newer one
 * while the kernel is busy; any other is sent at once and never dropped, after the continuous one that waits.
 */
class Link {
  constructor(model, onSilence) {
    this.model = model;
    this.onSilence = onSilence;
    this.client = Math.random().toString(36).slice(2);
    this.sent = 0;
    this.answered = 0; // or given up
    this.heard = 0; // really answered
    this.waiting = null;
    this.timer = null;
  }

  post(message, continuous = false) {
    if (continuous && this.sent - this.answered >= Link.UNDER_WAY) {
      this.waiting = message;
      return;
    }
    const late = this.waiting;
    this.waiting = null;
    if (late && !continuous) this.sendNow(late);
    this.sendNow(message);
  }

  sendNow(message) {
    this.sent += 1;
    sendQuietly(this.model, { ...message, client: this.client, number: this.sent });
    this.watch();
  }

  /** `answers` is what the kernel has dealt with: client -> number of its newest request. */
  acknowledge(answers) {
    const number = answers?.[this.client] ?? 0;
    if (number <= this.heard) return;
    this.heard = number; // a late answer too: it ends the silence
    this.answered = Math.max(this.answered, number);
    this.watch();
    if (this.waiting) {
      const message = this.waiting;
      this.waiting = null;
      this.post(message, true);
    }
  }

  /**
   * Whether everything that was sent has really been answered: until then what the kernel tells may be older than what
   * the page shows, also where it has been silent for so long that its answer was given up.
   */
  get settled() {
    return this.heard >= this.sent && !this.waiting;
  }

  watch() {
    clearTimeout(this.timer);
    this.timer = null;
    if (this.answered >= this.sent) {
      this.onSilence(false);
      return;
    }
    this.timer = setTimeout(() => {
      // Whatever was lost is lost; the next move of the slider must not wait for it.
      this.answered = this.sent;
      this.onSilence(true);
    }, Link.PATIENCE);
  }

  dispose() {
    clearTimeout(this.timer);
  }
}
// Two: one that the kernel works on, one that already lies in its inbox when it is done.
Link.UNDER_WAY = 2;
Link.PATIENCE = 4000;
