/** Formats numbers, dates and names for the browser's locale. */

const locales = navigator.languages?.length ? [...navigator.languages] : undefined;

const whole = new Intl.NumberFormat(locales, { maximumFractionDigits: 0 });
const decimal = new Intl.NumberFormat(locales, { maximumFractionDigits: 2 });
const compactNumber = new Intl.NumberFormat(locales, { notation: "compact", maximumFractionDigits: 1 });
const percent = new Intl.NumberFormat(locales, { style: "percent", maximumFractionDigits: 1 });
const signed = new Intl.NumberFormat(locales, {
  style: "percent",
  maximumFractionDigits: 1,
  signDisplay: "exceptZero",
});

export const count = (value) => whole.format(value);
export const number = (value) => decimal.format(value);
export const compact = (value) => compactNumber.format(value);
export const share = (value) => percent.format(value);
/** A change in per cent, with its sign: 12.3 becomes "+12.3%". */
export const change = (perCent) => signed.format(perCent / 100);

const inUtc = (options) => new Intl.DateTimeFormat(locales, { timeZone: "UTC", ...options });
const fullDate = inUtc({ weekday: "short", day: "numeric", month: "short", year: "numeric" });
const dayMonth = inUtc({ day: "numeric", month: "short" });
const monthYear = inUtc({ month: "short", year: "numeric" });
const mediumDate = inUtc({ day: "numeric", month: "short", year: "numeric" });

/* Days are ISO dates without a time zone. As numbers they are epoch seconds of midnight UTC. */
export const dayToSeconds = (iso) => Date.parse(`${iso}T00:00:00Z`) / 1000;
export const secondsToDay = (at) => new Date(at * 1000).toISOString().slice(0, 10);
export const day = (at) => fullDate.format(at * 1000);
export const dayShort = (at) => dayMonth.format(at * 1000);
export const month = (at) => monthYear.format(at * 1000);
export const date = (iso) => mediumDate.format(dayToSeconds(iso) * 1000);

const weekdayName = inUtc({ weekday: "long" });
export const WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const A_MONDAY = Date.UTC(2024, 5, 3);

/** Translate an English weekday name to the locale. Other values pass through unchanged. */
export function weekday(name) {
  const index = WEEKDAYS.indexOf(name);
  return index < 0 ? name : weekdayName.format(A_MONDAY + index * 86_400_000);
}

const dateAndTime = new Intl.DateTimeFormat(locales, { dateStyle: "medium", timeStyle: "short" });
const timeOfDay = new Intl.DateTimeFormat(locales, { timeStyle: "short" });
export const dateTime = (at) => dateAndTime.format(at);
export const time = (at) => timeOfDay.format(at);

/** Decimal minutes: 7.31 becomes "7m 19s". */
export function minutes(value) {
  return seconds(value * 60);
}

export function seconds(value) {
  const rounded = Math.round(value);
  const parts = [];
  if (rounded >= 3600) parts.push(`${count(Math.floor(rounded / 3600))}h`);
  if (rounded >= 60) parts.push(`${Math.floor((rounded % 3600) / 60)}m`);
  if (rounded < 3600) parts.push(`${rounded % 60}s`);
  return parts.join(" ");
}

/** A rounded duration in words: 170000 becomes "3 minutes". */
export function duration(milliseconds) {
  const [amount, unit] = roundedUnits(Math.max(0, Math.round(milliseconds / 1000)));
  return `${count(amount)} ${unit}${amount === 1 ? "" : "s"}`;
}

function roundedUnits(total) {
  if (total < 60) return [total, "second"];
  if (total < 5_400) return [Math.round(total / 60), "minute"];
  if (total < 172_800) return [Math.round(total / 3600), "hour"];
  return [Math.round(total / 86_400), "day"];
}

const regions = new Intl.DisplayNames(locales, { type: "region", fallback: "code" });

/** The name of an ISO country code. Other values pass through unchanged; null is "Unknown". */
export function country(code) {
  return code !== null && /^[A-Z]{2}$/.test(code) ? regions.of(code) : (code ?? "Unknown");
}

/** Convert a constant's name to words: "ENTERED_NEW_ROOM" becomes "Entered new room". */
export function words(name) {
  if (!/^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$/.test(name)) return name;
  const lower = name.replaceAll("_", " ").toLowerCase();
  return lower.charAt(0).toUpperCase() + lower.slice(1);
}
