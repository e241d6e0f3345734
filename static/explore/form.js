/** A form made from the filters of a derived table or from the parameters of a report. */

import { el, setAttribute, setText } from "../dom.js";
import { title } from "./values.js";

const OPERATORS = {
  "=": "is",
  "!=": "is not",
  ">": "above",
  ">=": "from",
  "<": "below",
  "<=": "to",
  in: "is one of",
};
/** What the browser's inputs for dates can show; other texts get a text field. */
const LOCAL = { date: /^\d{4}-\d{2}-\d{2}$/, timestamp: /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2})?$/ };
const INPUTS = {
  integer: { type: "number", step: "1" },
  number: { type: "number", step: "any" },
  date: { type: "date" },
  timestamp: { type: "datetime-local", step: "1" },
};

const narrow = matchMedia("(max-width: 560px)");
const EXPECTED = { integer: "a whole number", number: "a number", date: "a date", timestamp: "a date and a time" };

/** `onSubmit(values)` gets the texts of the filled fields, by parameter. */
export class Form {
  constructor(definition, values, onSubmit) {
    this.onSubmit = onSubmit;
    this.fields = fieldsOf(definition, values);
    this.problem = el("p", { class: "problem", role: "alert" });
    const isReport = definition.type === "report";
    this.form = el(
      "form",
      { class: "explore-form", novalidate: true, "aria-label": isReport ? "Parameters" : "Filters" },
      ...groups(definition, this.fields),
      el(
        "p",
        { class: "explore-buttons" },
        el("button", { class: "button", type: "submit" }, isReport ? "Run" : "Filter"),
        el("button", { class: "button quiet", type: "button", onclick: () => this.#reset() }, "Clear"),
      ),
      this.problem,
    );
    this.root = isReport ? el("div", { class: "card" }, this.form) : folded(this.form, this.fields);
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
  }

  /** The first required field without a value, or undefined. */
  missing() {
    return this.fields.find(({ required, input }) => required && !input.value);
  }

  /** Show problems beside their fields; returns those without a field. */
  showProblems(problems) {
    for (const { parameter, problem, input } of this.fields) {
      const found = problems.find((each) => each.parameter === parameter);
      setText(problem, found?.message ?? "");
      setAttribute(input, "aria-invalid", found ? "true" : null);
    }
    const known = new Set(this.fields.map(({ parameter }) => parameter));
    this.form.querySelector("[aria-invalid]")?.focus();
    return problems.filter(({ parameter }) => !known.has(parameter));
  }

  #submit() {
    const problems = this.fields.map(problemOf).filter(Boolean);
    this.showProblems(problems);
    if (problems.length) return;
    const filled = this.fields.filter(({ input }) => input.value !== "");
    this.onSubmit(Object.fromEntries(filled.map(({ parameter, input }) => [parameter, input.value])));
  }

  #reset() {
    for (const { input } of this.fields) input.value = "";
    this.showProblems([]);
    if (this.missing()) this.fields[0].input.focus();
    else this.#submit();
  }
}

/** On a phone, filters without a value leave the space to the rows. */
function folded(form, fields) {
  const open = !narrow.matches || fields.some(({ input }) => input.value);
  return el("details", { class: "card explore-filters", open }, el("summary", {}, "Filters"), form);
}

function problemOf({ parameter, input, required, type }) {
  if (input.validity.badInput) return { parameter, message: `Enter ${EXPECTED[type]}.` };
  return required && !input.value ? { parameter, message: "Enter a value." } : null;
}

function fieldsOf({ type, parameters, filters, columns, zone }, values) {
  if (type === "report") return parameters.map((parameter) => parameterField(parameter, values, zone));
  const types = Object.fromEntries(columns.map((column) => [column.name, column.type]));
  return filters.map((filter) => filterField(filter, types[filter.column], values, zone));
}

function filterField({ parameter, column, operator }, columnType, values, zone) {
  const hints = [];
  if (operator === "in") hints.push("separated by commas");
  if (columnType === "timestamp") hints.push(zone);
  // A list of numbers is a text.
  const type = operator === "in" ? "text" : columnType;
  return field({ parameter, column, type, label: OPERATORS[operator], hint: hints.join(", ") }, values);
}

function parameterField({ name, type, required, default: initial, minimum, maximum, unit, meaning }, values, zone) {
  const hints = [meaning, rangeText(minimum, maximum)];
  if (initial !== null) hints.push(`Without it: ${initial}.`);
  if (type === "timestamp") hints.push(`Time zone ${zone}.`);
  const label = title(name) + (unit ? ` (${unit})` : "");
  const attributes = { min: minimum, max: maximum };
  const hint = hints.filter(Boolean).join(" ");
  return field({ parameter: name, type, label, required, hint, attributes }, values);
}

function rangeText(minimum, maximum) {
  if (minimum === null && maximum === null) return "";
  if (maximum === null) return `At least ${minimum}.`;
  return minimum === null ? `At most ${maximum}.` : `${minimum} to ${maximum}.`;
}

function field({ parameter, column, type, label, required = false, hint = "", attributes = {} }, values) {
  const id = `explore-field-${parameter}`;
  const value = values[parameter] ?? "";
  const input = inputFor(type, value, {
    id,
    ...attributes,
    autocomplete: "off",
    required,
    "aria-describedby": `${id}-hint ${id}-problem`,
  });
  const problem = el("span", { class: "problem", id: `${id}-problem`, role: "alert" });
  const root = el(
    "div",
    { class: "explore-field" },
    el("label", { for: id }, label, required ? el("span", { class: "hint" }, " (required)") : null),
    input,
    el("span", { class: "hint", id: `${id}-hint` }, hint),
    problem,
  );
  return { parameter, column, type, required, input, problem, root };
}

function inputFor(type, value, attributes) {
  if (type === "boolean") return choice(value, attributes);
  const fits = !value || !(type in LOCAL) || LOCAL[type].test(value);
  const input = el("input", { type: "text", ...(fits ? INPUTS[type] : {}), ...attributes });
  input.value = value;
  return input;
}

function choice(value, attributes) {
  const options = ["", "true", "false"].map((each) => el("option", { value: each }, each || "–"));
  const select = el("select", attributes, ...options);
  select.value = value;
  return select;
}

/** Parameters stand side by side; filters are grouped by column. */
function groups({ type }, fields) {
  if (type === "report") return [el("div", { class: "explore-fields" }, ...fields.map(({ root }) => root))];
  const columns = [...new Set(fields.map(({ column }) => column))];
  return columns.map((column) =>
    el(
      "fieldset",
      { class: "explore-fields" },
      el("legend", {}, title(column)),
      ...fields.filter((each) => each.column === column).map(({ root }) => root),
    ),
  );
}
