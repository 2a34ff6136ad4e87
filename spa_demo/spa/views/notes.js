/** The API card: a list of notes, a form to add one, and a request that the API refuses. */

import { dateTime, element, make } from '../dom.js';

/** @typedef {import('../api.js').Note} Note */

/**
 * @param {import('../api.js').Api} api
 * @param {(work: () => Promise<void>) => Promise<void>} attempt runs work and shows what goes wrong
 */
export function createNotesView(api, attempt) {
  const list = element('notes', HTMLUListElement);
  const empty = element('notes-empty', HTMLElement);
  const status = element('notes-status', HTMLElement);
  const form = element('note-form', HTMLFormElement);
  const input = element('note-text', HTMLInputElement);
  const submit = element('note-submit', HTMLButtonElement);
  const forbidden = element('forbidden', HTMLButtonElement);

  async function load() {
    const notes = await api.notes();
    list.replaceChildren(...notes.map(row));
    empty.hidden = notes.length > 0;
  }

  /** @param {Note} note */
  function row(note) {
    const remove = make('button', 'quiet danger', 'Delete');
    remove.type = 'button';
    remove.dataset['testid'] = 'note-delete';
    remove.setAttribute('aria-label', `Delete the note: ${note.text}`);
    remove.addEventListener('click', () => attempt(() => removeNote(note, remove)));
    const text = make('p', 'note-text', note.text);
    const about = make('p', 'note-about', `${note.author}, ${dateTime(note.created_at)}`);
    const made = make('li', 'note', make('div', 'note-body', text, about), remove);
    made.dataset['testid'] = 'note';
    return made;
  }

  /**
   * @param {Note} note
   * @param {HTMLButtonElement} button
   */
  async function removeNote(note, button) {
    button.disabled = true;
    try {
      await api.deleteNote(note.id);
    } finally {
      button.disabled = false;
    }
    await load();
    status.textContent = 'Note deleted.';
    input.focus();
  }

  async function add() {
    const text = input.value.trim();
    if (!text) return;
    submit.disabled = true;
    try {
      await api.addNote(text);
      form.reset();
    } finally {
      submit.disabled = false;
    }
    await load();
    status.textContent = 'Note added.';
    input.focus();
  }

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    void attempt(add);
  });
  forbidden.addEventListener('click', () => attempt(async () => showAnswer(await api.admin())));

  return Object.freeze({
    load,

    /** Takes the user's data off the page. */
    clear() {
      list.replaceChildren();
      empty.hidden = true;
      status.textContent = '';
      form.reset();
      element('forbidden-result', HTMLElement).hidden = true;
    },
  });
}

/** @param {import('../api.js').Answer} answer */
function showAnswer({ status, wwwAuthenticate, body }) {
  element('forbidden-status', HTMLElement).textContent = `HTTP ${status}`;
  element('forbidden-meaning', HTMLElement).textContent =
    status === 403
      ? 'The API itself said no: the token is good but lacks the scope. You are still logged in.'
      : 'Not the answer this button is for.';
  const lines = wwwAuthenticate ? [`WWW-Authenticate: ${wwwAuthenticate}`, ''] : [];
  element('forbidden-body', HTMLElement).textContent = [...lines, indented(body)].join('\n');
  element('forbidden-result', HTMLElement).hidden = false;
}

/** @param {string} body */
function indented(body) {
  try {
    return JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    return body;
  }
}
