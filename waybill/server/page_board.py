"""The board on the server's page: what somebody draws or drops -> what a model of pictures is sent, encoded or as numbers."""

from __future__ import annotations

BOARD = r"""
const boards = new Map();

class Board {
  constructor(field) {
    this.canvas = field.querySelector("canvas");
    this.ink = field.querySelector(".ink");
    this.white = field.querySelector(".white");
    this.size = field.dataset.size.split(" ").map(Number);
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    this.pen = { x: this.canvas.width / 2, y: this.canvas.height / 2 };
    this.clear();
    this.listen(field);
    if (this.canvas.dataset.value) this.start(field.dataset.kind, this.canvas.dataset.value);
  }

  listen(field) {
    const canvas = this.canvas;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.pen = this.place(event);
      this.stroke(this.pen);
    });
    canvas.addEventListener("pointermove", (event) => { if (event.buttons & 1) this.stroke(this.place(event)); });
    canvas.addEventListener("keydown", (event) => this.key(event));
    this.ink.addEventListener("change", () => this.clear());
    field.querySelector(".clear").addEventListener("click", () => this.clear());
    const file = field.querySelector(".file");
    file.addEventListener("change", () => { if (file.files.length) this.take(file.files[0], field); });
    canvas.addEventListener("dragover", (event) => { event.preventDefault(); canvas.classList.add("over"); });
    canvas.addEventListener("dragleave", () => canvas.classList.remove("over"));
    canvas.addEventListener("drop", (event) => {
      event.preventDefault();
      canvas.classList.remove("over");
      if (event.dataTransfer.files.length) this.take(event.dataTransfer.files[0], field);
    });
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    const across = this.canvas.width / box.width, down = this.canvas.height / box.height;
    return { x: (event.clientX - box.left) * across, y: (event.clientY - box.top) * down };
  }

  key(event) {
    const step = { ArrowLeft: [-10, 0], ArrowRight: [10, 0], ArrowUp: [0, -10], ArrowDown: [0, 10] }[event.key];
    if (!step) return;
    event.preventDefault();
    const within = (value, most) => Math.min(Math.max(value, 0), most);
    const to = { x: within(this.pen.x + step[0], this.canvas.width), y: within(this.pen.y + step[1], this.canvas.height) };
    if (event.shiftKey) this.stroke(to);
    this.pen = to;
  }

  stroke(to) {
    const context = this.context;
    context.strokeStyle = this.ink.value === "dark" ? "#000" : "#fff";
    context.lineWidth = 24;
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    context.moveTo(this.pen.x, this.pen.y);
    context.lineTo(to.x, to.y);
    context.stroke();
    this.pen = to;
  }

  clear() {
    this.context.fillStyle = this.ink.value === "dark" ? "#fff" : "#000";
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    this.pen = { x: this.canvas.width / 2, y: this.canvas.height / 2 };
  }

  async take(file, field) {
    const wrong = field.querySelector(".wrong");
    wrong.hidden = true;
    try {
      const picture = await createImageBitmap(file);
      const scale = Math.min(this.canvas.width / picture.width, this.canvas.height / picture.height);
      const width = picture.width * scale, height = picture.height * scale;
      this.clear();
      this.context.drawImage(picture, (this.canvas.width - width) / 2, (this.canvas.height - height) / 2, width, height);
    } catch {
      wrong.textContent = "this file is no picture that the browser can read; expected PNG, JPEG or the like";
      wrong.hidden = false;
    }
  }

  // What the model's own example shows: an encoded picture, or the numbers of one.
  start(kind, value) {
    if (kind === "picture") {
      const bytes = Uint8Array.from(atob(value), (one) => one.charCodeAt(0));
      this.take(new Blob([bytes]), this.canvas.closest(".field"));
      return;
    }
    const [height, width] = this.size, numbers = JSON.parse(value).flat(Infinity), channels = numbers.length / (height * width);
    const top = Math.max(...numbers, 1e-9), small = new ImageData(width, height);
    this.white.value = String(top > 1 ? top : 1);
    for (let place = 0; place < height * width; place++) {
      for (let colour = 0; colour < 3; colour++)
        small.data[4 * place + colour] = 255 * numbers[channels * place + Math.min(colour, channels - 1)] / Number(this.white.value);
      small.data[4 * place + 3] = 255;
    }
    const board = new OffscreenCanvas(width, height);
    board.getContext("2d").putImageData(small, 0, 0);
    this.context.imageSmoothingEnabled = false;
    this.context.drawImage(board, 0, 0, this.canvas.width, this.canvas.height);
    this.context.imageSmoothingEnabled = true;
  }

  encoded() {
    return this.canvas.toDataURL("image/png").split(",")[1];
  }

  // Each number is the mean of the part of the board that it stands for.
  pixels() {
    const [height, width, channels] = this.size, { width: across, height: down } = this.canvas;
    const white = Number(this.white.value), whole = !this.canvas.closest(".field").dataset.dtype.startsWith("float");
    if (!this.white.value.trim() || !Number.isFinite(white)) throw new Error("white is sent as a number, such as 1 or 255");
    const { data } = this.context.getImageData(0, 0, across, down);
    const mean = (row, column, colour) => {
      const left = Math.floor(column * across / width), right = Math.max(Math.floor((column + 1) * across / width), left + 1);
      const top = Math.floor(row * down / height), bottom = Math.max(Math.floor((row + 1) * down / height), top + 1);
      let sum = 0;
      for (let y = Math.min(top, down - 1); y < Math.min(bottom, down); y++)
        for (let x = Math.min(left, across - 1); x < Math.min(right, across); x++) {
          const at = 4 * (y * across + x);
          sum += colour < 0 ? 0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2] : data[at + colour];
        }
      const value = sum / Math.max((right - left) * (bottom - top), 1) / 255 * white;
      return whole ? Math.round(value) : value;
    };
    const pixel = (row, column) => channels === 0 ? mean(row, column, -1)
      : channels === 1 ? [mean(row, column, -1)] : [0, 1, 2].map((colour) => mean(row, column, colour));
    return [Array.from({ length: height }, (_, row) => Array.from({ length: width }, (_, column) => pixel(row, column)))];
  }
}
"""
