// The findings' table: names, numbers, states, and what can be done with each.

const NUMBERS = [
  ["volume_ml", 2],
  ["suv_max", 2],
  ["suv_mean", 2],
  ["suv_peak", 2],
  ["tlg", 1],
];

export class Table {
  /**
   * @param {HTMLTableElement} table
   * @param {object} act what the rows' controls call: go, select, rename, recolour, hide, check, save, remove,
   *   each with an id
   */
  constructor(table, act) {
    this.body = table.tBodies[0];
    this.foot = table.tFoot;
    this.act = act;
    this.held = false; // rows stay while a press or the focus is on its way: replaced, they would lose it
    this.asked = null;
    this.shownId = null;
    table.addEventListener("pointerdown", (event) => {
      this.held = event.button === 0;
    });
    for (const ends of ["pointerup", "pointercancel", "contextmenu", "blur"]) {
      window.addEventListener(ends, () => this.held && this.#letGo());
    }
    document.addEventListener("copy", (event) => this.#copy(event, table));
  }

  /** Rows that are selected go out in a line each, without what their buttons say; what is selected in a cell as it is. */
  #copy(event, table) {
    const selected = document.getSelection();
    const around = selected.rangeCount ? selected.getRangeAt(0).commonAncestorContainer : null;
    if (table.contains(around) && !(around.closest ? around : around.parentElement).closest("td, th")) {
      const rows = [...table.rows].filter((row) => !row.matches(".second") && selected.containsNode(row, true));
      const text = (one) => one.querySelector("input")?.value ?? one.textContent;
      const lines = rows.map((row) => [...row.cells].slice(1).map(text).join("\t"));
      event.clipboardData.setData("text/plain", lines.join("\n"));
      event.preventDefault();
    }
  }

  /** After what happens now, the click or the next control's focus. */
  #letGo() {
    setTimeout(() => {
      this.held = false;
      this.asked && this.draw(...this.asked);
    });
  }

  /**
   * @param {import("./findings.js").Findings} findings
   * @param {string} unavailable why there is no SUV, "" where there is
   * @param {ReturnType<import("./totals.js").totals>} total of all findings
   */
  draw(findings, unavailable, total) {
    this.asked = this.held ? [findings, unavailable, total] : null;
    if (this.held) {
      return;
    }
    const typing = document.activeElement?.closest?.("#findings tbody input.name");
    if (typing && typing.value !== typing.dataset.was) {
      return; // a name is being written
    }
    const focus = document.activeElement?.dataset?.key;
    const { selectionStart: from, selectionEnd: to } = document.activeElement || {}; // of a name
    this.body.replaceChildren(...findings.list.flatMap((one) => this.#rows(one, findings, unavailable)));
    this.#drawTotals(findings, total);
    const focused = focus && this.body.querySelector(`[data-key="${CSS.escape(focus)}"]`);
    if (focused) {
      focused.focus();
      focused.matches(".name") && focused.setSelectionRange(from, to);
    }
    if (this.shownId !== findings.activeId) {
      this.shownId = findings.activeId;
      this.body.querySelector("tr.active.second")?.scrollIntoView({ block: "nearest" });
    }
  }

  #rows(finding, findings, unavailable) {
    const [row, second] = [document.createElement("tr"), document.createElement("tr")];
    const answer = findings.shown(finding);
    const state = findings.state(finding);
    const kept = findings.kept.get(finding.id);
    for (const one of [row, second]) {
      one.dataset.id = finding.id;
      one.dataset.state = state;
      one.className = finding.id === findings.activeId ? "active" : "";
      one.addEventListener("click", (event) => {
        if (!event.target.closest("button, input, label")) {
          this.act.go(finding.id);
        }
      });
    }
    second.classList.add("second");
    const colour = button("", `${finding.id} colour`, () => this.act.recolour(finding.id));
    Object.assign(colour, { className: "colour", title: "Another colour" });
    colour.setAttribute("aria-label", "Another colour");
    colour.style.setProperty("background", `rgb(${finding.colour.join(",")})`);
    const name = document.createElement("input");
    Object.assign(name, { className: "name", value: finding.name, maxLength: 64, placeholder: "name" });
    name.setAttribute("list", "labels");
    name.setAttribute("aria-label", "Name");
    name.dataset.key = `${finding.id} name`;
    name.dataset.was = finding.name;
    name.title = finding.name;
    name.addEventListener("change", () => {
      const pressed = this.held; // then the release lets go
      this.held = true;
      this.act.rename(finding.id, name.value.trim());
      pressed || this.#letGo();
    });
    name.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === "Escape") {
        name.value = event.key === "Escape" ? finding.name : name.value;
        event.preventDefault();
        name.blur();
        this.act.leave();
      }
    });
    name.addEventListener("focus", () => this.act.select(finding.id));
    const said = document.createElement("small");
    const clicks = finding.prompts.filter((prompt) => prompt.ijk).length;
    const when = kept && whenSaved(kept.at);
    said.textContent = [
      clicks ? `${clicks} click${clicks > 1 ? "s" : ""}` : "",
      state === "saved" ? `saved ${when}${kept.by ? ` by ${kept.by}` : ""}` : state,
      state === "saved" && kept.elsewhereMl >= 0.005 ? `without ${kept.elsewhereMl.toFixed(2)} mL in other findings` : "",
    ]
      .filter(Boolean)
      .join(" · ");
    row.append(cell(colour), cell(name));
    for (const [key, digits] of NUMBERS) {
      const value = answer?.numbers?.[key];
      const number = cell(document.createTextNode(typeof value === "number" ? value.toFixed(digits) : "–"));
      number.className = "number";
      number.dataset.measure = key;
      if (typeof value !== "number" && unavailable) {
        number.title = unavailable;
      }
      row.append(number);
    }
    const told = cell(said);
    const actions = this.#actions(finding, state);
    actions.colSpan = 5;
    second.append(document.createElement("td"), told, actions);
    return [row, second];
  }

  #actions(finding, state) {
    const actions = document.createElement("td");
    actions.className = "do";
    const checked = document.createElement("input");
    Object.assign(checked, { type: "checkbox", checked: finding.checked, title: "Checked by an expert" });
    checked.setAttribute("aria-label", "Checked by an expert");
    checked.dataset.key = `${finding.id} check`;
    checked.addEventListener("change", () => this.act.check(finding.id, checked.checked));
    const tick = document.createElement("label");
    tick.append(checked, "expert");
    actions.append(
      tick,
      button(finding.hidden ? "Show" : "Hide", `${finding.id} hide`, () => this.act.hide(finding.id)),
      button("Save", `${finding.id} save`, () => this.act.save(finding.id), state === "saved"),
      button("Delete", `${finding.id} delete`, () => this.act.remove(finding.id)),
    );
    return actions;
  }

  #drawTotals(findings, total) {
    if (!total) {
      this.foot.replaceChildren();
      return;
    }
    const row = document.createElement("tr");
    row.title = "All findings together: a voxel that several of them hold counts once";
    for (const text of [
      "",
      `${total.count} in all`,
      total.volume_ml.toFixed(2),
      "",
      "",
      "",
      total.tlg === null ? "–" : total.tlg.toFixed(1),
    ]) {
      row.append(cell(document.createTextNode(text)));
    }
    this.foot.replaceChildren(row);
  }
}

/** A time as short as it can be told. */
export function whenSaved(seconds) {
  const when = new Date(1000 * seconds);
  const today = when.toDateString() === new Date().toDateString();
  return today
    ? when.toLocaleTimeString([], { timeStyle: "short" })
    : when.toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
}

function cell(content) {
  const one = document.createElement("td");
  one.append(content);
  return one;
}

function button(text, key, act, disabled = false) {
  const one = document.createElement("button");
  Object.assign(one, { type: "button", textContent: text, disabled });
  one.dataset.key = key;
  one.addEventListener("click", act);
  return one;
}
