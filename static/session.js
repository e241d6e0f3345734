/** The token: typed once, kept in this tab, forgotten on demand. */

const KEY = "fpp-analytics-token";

export const token = () => sessionStorage.getItem(KEY);
export const keep = (given) => sessionStorage.setItem(KEY, given);
export const forget = () => sessionStorage.removeItem(KEY);
