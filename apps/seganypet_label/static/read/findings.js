// The findings of a study and their history. A finding is never changed: each change makes a new list of findings, so
// that going back is taking the list before, and a mask once answered belongs to its list of prompts for good.

const COLOURS = [
  // Okabe and Ito's, told apart by colour-blind readers
  [230, 159, 0],
  [86, 180, 233],
  [0, 158, 115],
  [213, 94, 0],
  [204, 121, 167],
  [0, 114, 178],
  [240, 228, 66],
];

export class Findings {
  /** @param {() => void} changed is called after every change */
  constructor(changed) {
    this.changed = changed;
    this.list = [];
    this.activeId = null;
    this.past = [];
    this.future = [];
    this.answers = new WeakMap(); // prompts → {mask, numbers}
    this.kept = new Map(); // id → {name, digest, prompts, by, at, checked, colour}, as it is saved; stale, short, elsewhereMl
    this.deleted = new Map(); // name → {finding, kept} of what was saved and deleted here
    this.number = 0;
  }

  get active() {
    return this.list.find((one) => one.id === this.activeId) || null;
  }

  answer(finding) {
    return this.answers.get(finding.prompts) || null;
  }

  /** The newest answer of a finding: while one is on its way, the one before stays in view. */
  shown(finding) {
    return this.answer(finding) || (finding.before && this.answers.get(finding.before)) || null;
  }

  state(finding) {
    const kept = this.kept.get(finding.id);
    if (!this.answer(finding)) {
      return "waiting";
    }
    const there = kept && !kept.stale && !kept.short;
    const same = there && ["prompts", "name", "checked", "colour"].every((key) => kept[key] === finding[key]);
    return same ? "saved" : "not saved";
  }

  /** @param {boolean} active whether it is the one worked on from now on */
  begin(name, active = true) {
    const id = ++this.number;
    const finding = { id, name, colour: this.#freeColour(), prompts: [], hidden: false, checked: false };
    this.#apply([...this.list, finding], active ? id : this.activeId);
    return finding;
  }

  /** What a server keeps, taken in; not a step of the history. */
  takeIn(saved, mask, id = ++this.number) {
    const { mask: bits, digest, name, by, at, quality, colour = this.#freeColour(), ...numbers } = saved;
    const prompts = [{ type: "mask", ...bits }];
    const checked = quality === "high";
    this.answers.set(prompts, { mask, numbers });
    this.kept.set(id, { name, digest, prompts, by, at, checked, colour });
    this.#putBack({ id, name, colour, prompts, hidden: false, checked });
  }

  /** What was deleted and is kept again: the finding that it was, where it was deleted here. */
  bringBack(saved, mask) {
    const was = this.deleted.get(saved.name);
    this.deleted.delete(saved.name);
    if (was?.kept.digest !== saved.digest) {
      this.takeIn(saved, mask, was?.finding.id);
      return;
    }
    const { name, prompts, checked, colour } = was.kept;
    this.kept.set(was.finding.id, { ...was.kept, by: saved.by, at: saved.at });
    this.#putBack({ ...was.finding, name, prompts, checked, colour });
  }

  /** Put a finding in every list that lacks it, so that no step back or forth loses what is kept. */
  #putBack(finding) {
    this.#everywhere((list) => (list.some((one) => one.id === finding.id) ? list : [...list, finding]));
  }

  #everywhere(put) {
    this.list = put(this.list);
    this.past = this.past.map((step) => ({ ...step, list: put(step.list) }));
    this.future = this.future.map((step) => ({ ...step, list: put(step.list) }));
    this.changed();
  }

  /** A colour that no finding has; with more findings than colours the next in turn. */
  #freeColour() {
    const free = COLOURS.find((colour) => !this.list.some((one) => one.colour.join() === colour.join()));
    return free || COLOURS[this.list.length % COLOURS.length];
  }

  add(prompt) {
    const { prompts } = this.active;
    this.change(this.activeId, { prompts: [...prompts, prompt], before: this.#answered(this.active) });
  }

  removeLast() {
    const { prompts } = this.active;
    this.change(this.activeId, { prompts: prompts.slice(0, -1), before: this.#answered(this.active) });
  }

  removePrompt(index) {
    const prompts = this.active.prompts.filter((_, n) => n !== index);
    this.change(this.activeId, { prompts, before: this.#answered(this.active) });
  }

  change(id, what) {
    this.#apply(
      this.list.map((one) => (one.id === id ? { ...one, ...what } : one)),
      this.activeId,
    );
  }

  /** A change that is no step of the history, and that no step back or forth takes away. */
  set(id, what) {
    const put = (list) => list.map((one) => (one.id === id ? { ...one, ...what } : one));
    this.#everywhere(put);
  }

  /** The next of the colours that colour-blind readers tell apart, one that no other finding has where there is one. */
  recolour(id) {
    const { colour } = this.list.find((one) => one.id === id);
    const same = (one) => (other) => other.join() === one.join();
    const others = this.list.filter((one) => one.id !== id).map((one) => one.colour);
    const now = COLOURS.findIndex(same(colour));
    const following = [...COLOURS.slice(now + 1), ...COLOURS.slice(0, now + 1)];
    this.set(id, { colour: following.find((one) => !others.some(same(one))) || following[0] });
  }

  remove(id) {
    this.#apply(
      this.list.filter((one) => one.id !== id),
      this.activeId === id ? null : this.activeId,
    );
  }

  select(id) {
    this.activeId = id;
    this.changed();
  }

  undo() {
    this.#travel(this.past, this.future);
  }

  redo() {
    this.#travel(this.future, this.past);
  }

  /** Take a prompt of a finding back, which the server refused; others may have followed it. */
  withdraw(id, refused) {
    this.list = this.list.map((one) =>
      one.id === id && one.prompts.includes(refused) ? { ...one, prompts: this.#without(one, refused) } : one,
    );
    this.changed();
  }

  /** What was answered before, so that it is not asked again: a server that refuses all would take every prompt. */
  #without({ id, prompts, before }, refused) {
    const left = prompts.filter((prompt) => prompt !== refused);
    if (!left.length && this.answers.has(before)) {
      return before; // a mask had taken the place of all prompts
    }
    const earlier = this.past.flatMap(({ list }) => list.filter((one) => one.id === id).map((one) => one.prompts));
    const same = (one) => one.length === left.length && one.every((prompt, n) => prompt === left[n]);
    return earlier.find((one) => same(one) && this.answers.has(one)) || left;
  }

  #answered(finding) {
    return this.answer(finding) ? finding.prompts : finding.before;
  }

  #apply(list, activeId) {
    this.past.push({ list: this.list, activeId: this.activeId });
    this.future = [];
    this.list = list;
    this.activeId = activeId;
    this.changed();
  }

  #travel(from, to) {
    if (from.length) {
      to.push({ list: this.list, activeId: this.activeId });
      ({ list: this.list, activeId: this.activeId } = from.pop());
      this.changed();
    }
  }
}
