/** Formats numbers, dates and names: English words, with the number and date order of the reader's region. */

/** English of the reader's region: de-DE becomes en-DE, so 1.234 and "25 Nov 2026" as a German expects them. */
function englishLocale() {
  for (const language of navigator.languages ?? []) {
    const locale = new Intl.Locale(language);
    const region = locale.region ?? locale.maximize().region;
    const english = `en-${region}-u-nu-latn`;
    if (region && Intl.NumberFormat.supportedLocalesOf(english).length) return english;
  }
  return "en-u-nu-latn";
}

const locale = englishLocale();

const whole = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 });
const decimal = new Intl.NumberFormat(locale, { maximumFractionDigits: 2 });
const compactNumber = new Intl.NumberFormat(locale, { notation: "compact", maximumFractionDigits: 1 });
const percent = new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 1 });
const signed = new Intl.NumberFormat(locale, {
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

const signedNumber = new Intl.NumberFormat(locale, { maximumFractionDigits: 1, signDisplay: "exceptZero" });
/** A change of a share, with its sign: 0.01 becomes "+1 point". */
export const points = (difference) => {
  const amount = signedNumber.format(difference * 100);
  return `${amount} ${/^[+-]1$/.test(amount) ? "point" : "points"}`;
};

const inUtc = (options) => new Intl.DateTimeFormat(locale, { timeZone: "UTC", ...options });

/* Days are ISO dates without a time zone. As numbers they are epoch seconds of midnight UTC. */
export const dayToSeconds = (iso) => Date.parse(`${iso.slice(0, 10)}T00:00:00Z`) / 1000;
/** British English alone writes Sept; the axis has no room for a fourth letter. */
const shorten = (text) => text.replace(/\bSept\b/g, "Sep");
const formatDay = (options) => {
  const formatter = inUtc(options);
  return (iso) => shorten(formatter.format(dayToSeconds(iso) * 1000));
};
/** "Tue, 10 Nov 2026" */
export const day = formatDay({ weekday: "short", day: "numeric", month: "short", year: "numeric" });
/** "10 Nov 2026" */
export const date = formatDay({ day: "numeric", month: "short", year: "numeric" });
/** "November 2026" */
export const month = formatDay({ month: "long", year: "numeric" });

/* Labels of an axis. */
const SHORT_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const SHORT_WEEKDAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const shortWeekday = (iso) => SHORT_WEEKDAYS[new Date(dayToSeconds(iso) * 1000).getUTCDay()];
const dayNumber = (iso) => String(Number(iso.slice(8, 10)));
export const tickMonth = (iso) => SHORT_MONTHS[Number(iso.slice(5, 7)) - 1];
export const tickMonthYear = (iso) => `${tickMonth(iso)} ${iso.slice(0, 4)}`;
export const tickDayMonth = (iso) => `${dayNumber(iso)} ${tickMonth(iso)}`;
export const tickWeekday = (iso) => `${shortWeekday(iso)} ${dayNumber(iso)}`;
export const tickWeekdayMonth = (iso) => `${tickWeekday(iso)} ${tickMonth(iso)}`;

/** The range of two days, without repeating what they share: "28 Aug – 25 Nov 2026". */
export function range(from, to) {
  if (from === to) return day(from);
  const formatter = inUtc({ day: "numeric", month: "short", year: "numeric" });
  return shorten(formatter.formatRange(dayToSeconds(from) * 1000, dayToSeconds(to) * 1000));
}

export const WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

const dateAndTime = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });
const withSeconds = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "medium" });
const timeOfDay = new Intl.DateTimeFormat(locale, { timeStyle: "short" });
export const dateTime = (at) => dateAndTime.format(at);
export const dateTimeSeconds = (at) => withSeconds.format(at);
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

/** "1 room", "2 rooms" */
export const plural = (amount, one, many = `${one}s`) => `${count(amount)} ${amount === 1 ? one : many}`;

const regions = new Intl.DisplayNames("en", { type: "region", fallback: "code" });

/** The name of an ISO country code. Other values pass through unchanged; null is "Unknown". */
export function country(code) {
  return code !== null && /^[A-Z]{2}$/.test(code) ? regions.of(code) : (code ?? "Unknown");
}

/** Convert a constant's name to words: "ENTERED_NEW_ROOM" becomes "Entered new room". */
export function words(name) {
  if (!/^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$/.test(name)) return name;
  return capital(name.replaceAll("_", " ").toLowerCase());
}

/** "mobile" becomes "Mobile". */
export const capital = (name) => name.charAt(0).toUpperCase() + name.slice(1);

/** The moment `at`, in ms, in the time zone `zone`, as ISO date and time: "2026-11-25T22:30". */
export function localMoment(at, zone) {
  if (!isoFormats.has(zone)) {
    const options = { timeZone: zone, dateStyle: "short", timeStyle: "short" };
    isoFormats.set(zone, new Intl.DateTimeFormat("sv-SE", options));
  }
  return isoFormats.get(zone).format(at).replace(" ", "T");
}

/** By time zone: to create one takes longer than everything else here. */
const isoFormats = new Map();
