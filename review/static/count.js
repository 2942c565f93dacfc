"use strict";

/* How many images a list has. One label takes one image out of it, however often the image is labelled again, and on its
   way to the store as well as kept; also over a reload. */
class Count {
  constructor(list) {
    this.list = list;
    this.images = 0;
    this.known = false;
    const before = JSON.parse(sessionStorage.getItem("counted") || "{}");
    this.taken = new Set(before.list === list ? before.keys : []);
  }

  out(key) {
    if (this.taken.has(key)) return;
    this.taken.add(key);
    this.images = Math.max(0, this.images - 1);
    this.keep();
  }

  /* Whether it had been taken out. */
  again(key) {
    if (!this.taken.delete(key)) return false;
    this.images += 1;
    this.keep();
    return true;
  }

  /* What the server counts. It is believed if no label was on its way meanwhile, or nothing is known yet: then it does
     not know of those that wait. */
  told(images, quiet, waiting) {
    if (quiet) this.images = images;
    else if (!this.known) this.images = images - new Set(waiting.filter(key => this.taken.has(key))).size;
    this.known = true;
  }

  forget() { this.known = false; }

  keep() { sessionStorage.setItem("counted", JSON.stringify({ list: this.list, keys: [...this.taken] })); }
}
