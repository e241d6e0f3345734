/** English names of regions by ISO 3166-2 code, of which scripts/regions.py makes the list. */

const LIST = new URL("./regions.txt", import.meta.url);

/** Name by code, such as DE-BY; null until the list is here. */
let names = null;
let loading = null;

export const hasRegions = () => names !== null;

/** Fetch the list, which is large, when it is first needed. Resolves to false if it cannot be had: codes are shown then. */
export function loadRegions() {
  loading ??= fetchList().then(
    (text) => {
      names = parse(text);
      return true;
    },
    () => {
      loading = null;
      return false;
    },
  );
  return loading;
}

async function fetchList() {
  const response = await fetch(LIST);
  if (!response.ok) throw new Error(`regions.txt: ${response.status}`);
  return response.text();
}

/** A line is a country and its regions, with a tab before each: `AD`, `02 Canillo`, `03 Encamp`. */
const parse = (text) =>
  new Map(
    text.split("\n").flatMap((line) => {
      const [country, ...regions] = line.split("\t");
      return regions.map((region) => {
        const blank = region.indexOf(" ");
        return [`${country}-${region.slice(0, blank)}`, region.slice(blank + 1)];
      });
    }),
  );

/** The name of a region; a code that is not listed stays as it is. */
export const regionName = (country, code) => names?.get(`${country}-${code}`) ?? (code || "(empty)");
