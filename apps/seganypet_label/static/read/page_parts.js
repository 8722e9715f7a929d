// Elements of the page, by id.

export const at = (id) => document.getElementById(id);
