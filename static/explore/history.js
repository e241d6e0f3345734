/** The statements that were run in this tab, newest first. Only this tab has them, until the reader signs out. */

const KEY = "fpp-analytics-statements";
const MOST = 30;
/** Characters together: browsers keep some millions for a page. */
const MOST_CHARACTERS = 500_000;

/** Entries `{sql, at, outcome}`: `at` is in milliseconds, `outcome` a text such as "12 rows". */
export function statements() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY)) ?? [];
  } catch {
    return []; // Somebody else has written there.
  }
}

/** Put `entry` in front; an earlier one of the same statement goes. */
export function rememberStatement(entry) {
  const others = statements().filter(({ sql }) => sql !== entry.sql);
  let left = MOST_CHARACTERS;
  const kept = [entry, ...others].slice(0, MOST).filter(({ sql }) => {
    left -= sql.length;
    return left >= 0;
  });
  sessionStorage.setItem(KEY, JSON.stringify(kept));
}

export const forgetStatements = () => sessionStorage.removeItem(KEY);
