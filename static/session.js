/** The access token, stored for the life of this tab. */

const KEY = "fpp-analytics-token";

export const getToken = () => sessionStorage.getItem(KEY);
export const setToken = (token) => sessionStorage.setItem(KEY, token);
export const clearToken = () => sessionStorage.removeItem(KEY);
