"use strict";

/* What the server answers; an Error with its words if it refuses. */
async function get(path) {
  const answer = await fetch(path, { credentials: "same-origin" });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.error || `the server answers ${answer.status}`);
  return body;
}

/* Labels on their way to the store, one after the other, kept in the tab until the server says that it has them:
   a reload, a cut connection or a server that starts anew loses none. */
class Outbox {
  constructor(hooks) {
    this.hooks = hooks; /* saved(act, answer), refused(act, message, answer), waiting(message), clear() */
    this.acts = JSON.parse(sessionStorage.getItem("outbox") || "[]");
    this.times = JSON.parse(sessionStorage.getItem("times") || "{}"); /* when the server kept which act */
    this.busy = false;
    this.tries = 0;
  }

  add(act) {
    this.acts.push(act);
    this.keep();
    this.flush();
  }

  /* Take an act back before it was sent; false if that is too late. */
  recall(id) {
    const at = this.acts.findIndex(act => act.id === id);
    if (at < 0 || (at === 0 && this.busy)) return false;
    this.acts.splice(at, 1);
    this.keep();
    return true;
  }

  keep() {
    sessionStorage.setItem("outbox", JSON.stringify(this.acts));
    sessionStorage.setItem("times", JSON.stringify(this.times));
  }

  async flush() {
    if (this.busy) return;
    this.busy = true;
    clearTimeout(this.timer);
    while (this.acts.length) {
      if (!await this.send(this.acts[0])) break;
    }
    this.busy = false;
  }

  /* Whether the next act may be sent. */
  async send(act) {
    let answer, body;
    try {
      answer = await fetch(act.undoes ? "/api/undo" : "/api/label", {
        method: "POST", headers: { "Content-Type": "application/json" }, credentials: "same-origin",
        body: JSON.stringify(act.undoes ? { key: act.key, labelled_at: this.times[act.undoes] } : act),
      });
      body = await answer.json().catch(() => ({}));
    } catch {
      return this.wait("the server cannot be reached");
    }
    if (answer.status >= 500 || answer.status === 429 || answer.status === 401) {
      return this.wait(body.error || `the server answers ${answer.status}`);
    }
    if (body.need === "reviewer") {
      this.hooks.nameless();
      return false;
    }
    this.tries = 0;
    this.acts.shift();
    if (answer.ok && body.labelled_at) this.times[act.id] = body.labelled_at;
    this.keep();
    this.hooks.clear();
    if (answer.ok) this.hooks.saved(act, body);
    else this.hooks.refused(act, body.error || `the server answers ${answer.status}`, answer.status);
    return true;
  }

  wait(why) {
    this.tries += 1;
    const seconds = Math.min(30, 2 ** Math.min(5, this.tries - 1));
    this.hooks.waiting(why, this.acts.length, seconds);
    this.timer = setTimeout(() => this.flush(), 1000 * seconds);
    return false;
  }
}
