"use strict";

/* Zoom and pan of several frames at once, so that the same place is seen in each. */
class Zoom {
  constructor(frames) {
    this.frames = frames;
    this.pointers = new Map();
    for (const frame of frames) {
      frame.addEventListener("wheel", event => {
        event.preventDefault();
        this.by(event.deltaY < 0 ? 1.25 : 0.8, ...this.place(frame, event));
      }, { passive: false });
      frame.addEventListener("dblclick", event =>
        this.scale > 1 ? this.whole() : this.by(3, ...this.place(frame, event)));
      frame.addEventListener("pointerdown", event => {
        this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
        if (this.scale > 1) frame.setPointerCapture(event.pointerId);
      });
      frame.addEventListener("pointermove", event => this.moved(frame, event));
      for (const name of ["pointerup", "pointercancel", "pointerleave"]) {
        frame.addEventListener(name, event => this.pointers.delete(event.pointerId));
      }
    }
    this.whole();
  }

  /* Where in the frame, from its middle, as a share of its sides. */
  place(frame, event) {
    const box = frame.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width - 0.5, (event.clientY - box.top) / box.height - 0.5];
  }

  whole() {
    [this.scale, this.x, this.y] = [1, 0, 0];
    this.show();
  }

  /* `factor` times larger, with the place (x, y) staying where it is. */
  by(factor, x = 0, y = 0) {
    const scale = Math.min(16, Math.max(1, this.scale * factor));
    const grown = scale / this.scale;
    this.x = x - (x - this.x) * grown;
    this.y = y - (y - this.y) * grown;
    this.scale = scale;
    this.show();
  }

  moved(frame, event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const box = frame.getBoundingClientRect();
    const others = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
    if (others.length === 1) {
      const distance = at => Math.hypot(at[0] - others[0][0], at[1] - others[0][1]);
      const now = [event.clientX, event.clientY];
      this.by(distance(now) / Math.max(1, distance(before)), ...this.place(frame, event));
    } else if (this.scale > 1 && others.length === 0) {
      this.x += (event.clientX - before[0]) / box.width;
      this.y += (event.clientY - before[1]) / box.height;
      this.show();
    }
    this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
  }

  show() {
    const most = (this.scale - 1) / 2;
    this.x = Math.min(most, Math.max(-most, this.x));
    this.y = Math.min(most, Math.max(-most, this.y));
    for (const frame of this.frames) {
      const stage = frame.querySelector(".stage");
      stage.style.transform = `translate(${100 * this.x}%, ${100 * this.y}%) scale(${this.scale})`;
      frame.classList.toggle("zoomed", this.scale > 1);
    }
  }
}
