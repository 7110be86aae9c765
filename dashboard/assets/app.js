// The whole client side. The server renders every page; this adds live regions, form swaps and keys.
// Without it everything still works.
const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const byKey = (key, root) => root.querySelector(`[id="${CSS.escape(key)}"],[data-key="${CSS.escape(key)}"]`);

// --- announcements: one polite region, coalesced so that a burst is read once
let sayTimer = 0;
let queued = [];
function say(text) {
  queued.push(text);
  clearTimeout(sayTimer);
  sayTimer = setTimeout(() => {
    $('#say').textContent = queued.length > 2 ? `${queued.length} updates. ${queued.at(-1)}` : queued.join('. ');
    queued = [];
  }, 600);
}

// --- swap: replace regions by id; keep focus, scroll and what somebody has begun to enter
const TYPING = 'input:not([type=checkbox]):not([type=radio]),textarea,select';
const entered = (root) => $$('input[name],select[name]', root).filter((i) => (i.type === 'radio' ? i.checked !== i.defaultChecked : i.matches('input[type=text]') ? i.value !== i.defaultValue : i.matches('select') && ![...i.options].every((o) => o.selected === o.defaultSelected || (!o.value && o.selected))));
function keepEntries(old, next) {
  for (const from of entered(old)) {
    const to = from.id && byKey(from.id, next);
    if (!to) continue;
    if (from.type === 'radio') { if (from.checked) to.checked = true; } else to.value = from.value;
  }
}
function swap(html, sent) {
  const page = new DOMParser().parseFromString(html, 'text/html');
  const said = [];
  for (const next of $$('[data-region]', page)) {
    const old = document.getElementById(next.id);
    if (!old || old.outerHTML === next.outerHTML) continue;
    const focus = document.activeElement;
    const inside = focus && old.contains(focus);
    if (inside && focus.matches(TYPING) && !sent) continue; // never pull a field from under the user; the next change brings it
    const key = inside ? focus.id || focus.dataset.key : null;
    const scrolled = $$('ol,.scroll', old).map((e) => [e.scrollTop, e.scrollLeft]);
    if (!sent) keepEntries(old, next);
    for (const e of $$('[data-say]', next)) if ($(`[id="${e.id}"]`, old)?.dataset.say !== e.dataset.say) said.push(e.dataset.say);
    old.replaceWith(document.adoptNode(next));
    $$('ol,.scroll', next).forEach((e, nth) => { if (scrolled[nth]) [e.scrollTop, e.scrollLeft] = scrolled[nth]; });
    if (inside) {
      let to = key ? byKey(key, next) : null;
      if (!to) { to = next; next.tabIndex = -1; }
      to.focus({ preventScroll: true });
    }
  }
  const head = $('#head h1', page)?.textContent;
  if (head && head !== lastHead) { if (lastHead) said.push(head); lastHead = head; }
  said.forEach(say);
  count();
}
let lastHead = $('#head h1')?.textContent;

// --- forms: the same request, the same page back, but only its regions are taken
document.addEventListener('submit', async (event) => {
  const form = event.target;
  if (!form.matches('[data-fragment]')) return;
  event.preventDefault();
  if (form.getAttribute('aria-busy')) return;
  form.setAttribute('aria-busy', 'true');
  try {
    const action = event.submitter?.hasAttribute('formaction') ? event.submitter.formAction : form.action;
    const answer = await fetch(action, { method: 'POST', body: new URLSearchParams(new FormData(form, event.submitter)), headers: { accept: 'text/html' } });
    const html = await answer.text();
    const to = new URL(answer.url);
    if (to.pathname === '/login') return location.assign(answer.url);
    if (!html.includes('data-region')) throw new Error('no page');
    if (answer.redirected && to.pathname + to.search !== location.pathname + location.search) { history.replaceState(null, '', to.pathname + to.search); $('#main').toggleAttribute('data-open', /^\/(conflicts|matches)\/./.test(to.pathname)); watch(html); }
    swap(html, true);
  } catch {
    say('The server did not answer. Nothing was changed.');
  } finally {
    form.removeAttribute('aria-busy');
  }
});
// The page that came back names its own stream.
function watch(html) {
  const next = new DOMParser().parseFromString(html, 'text/html').body.dataset.live;
  if (next && next !== document.body.dataset.live) { document.body.dataset.live = next; live(); }
}

// --- live: server-sent events carry ready HTML; stopping them is a user's right (WCAG 2.2.2)
let stream;
let paused = sessionStorage.getItem('paused') === 'yes';
let offlineTimer = 0;
function offline(is) {
  clearTimeout(offlineTimer);
  const show = () => {
    const banner = $('#offline');
    if (banner) banner.hidden = !is;
    $('#live')?.classList.toggle('off', is || paused);
    if ($('.live-word')) $('.live-word').textContent = paused ? 'Paused' : is ? 'Offline' : 'Live';
  };
  if (is) offlineTimer = setTimeout(show, 3000); else show();
}
function live() {
  stream?.close();
  stream = undefined;
  const button = $('[data-act=pause]');
  const word = $('.live-word');
  if (!button || !word) return;
  button.setAttribute('aria-pressed', String(paused));
  word.textContent = paused ? 'Paused' : 'Live';
  $('#live').classList.toggle('off', paused);
  if (paused || document.hidden) return;
  const mine = new EventSource(document.body.dataset.live);
  stream = mine;
  mine.addEventListener('html', (event) => { if (stream === mine) { offline(false); swap(event.data); } });
  mine.addEventListener('trouble', (event) => { if (stream === mine) { offline(true); say(event.data); } });
  mine.addEventListener('ended', () => { mine.close(); location.reload(); });
  mine.onopen = () => offline(false);
  mine.onerror = () => { if (stream === mine) { offline(true); if (mine.readyState === EventSource.CLOSED) setTimeout(live, 5000); } };
}
addEventListener('visibilitychange', live);
addEventListener('pagehide', () => stream?.close()); // keeps the back/forward cache usable
addEventListener('pageshow', (event) => { if (event.persisted) live(); });

// --- what a choice will write, counted
function count() {
  const sum = $('#sum');
  if (!sum) return;
  const writes = { crm: 0, erp: 0 };
  let chosen = 0;
  for (const field of $$('fieldset.field')) {
    const choice = $('input[type=radio]:checked', field)?.value;
    if (!choice) continue;
    chosen += 1;
    if (choice === 'both' || 'record' in field.dataset) continue;
    for (const side of ['crm', 'erp']) {
      if (choice !== side && field.dataset.to.includes(side)) writes[side] += 1;
    }
  }
  const open = $$('fieldset.field').length - chosen;
  const words = (n, to) => (n ? `${n} ${n === 1 ? 'write' : 'writes'} to ${to}` : '');
  sum.textContent = chosen ? `${[words(writes.crm, 'Salesforce'), words(writes.erp, 'ERP')].filter(Boolean).join(', ') || `${chosen} chosen`}. ${open ? `${open} ${open === 1 ? 'field stays' : 'fields stay'} open.` : 'The values that lose are kept.'}` : 'Fields without a choice stay open. The value that loses is kept.';
}

// --- actions and keys. Keys press the visible control, so keyboard and pointer share one path.
const pick = (side) => {
  $$(`.val input[value=${side}]`).forEach((i) => { i.checked = true; });
  count();
  say(side === 'both' ? 'All fields keep both values' : `All fields set to ${side === 'crm' ? 'Salesforce' : 'ERP'}`);
};
const acts = {
  theme: () => {
    const root = document.documentElement;
    const dark = root.dataset.theme === 'dark' || (root.dataset.theme !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches);
    const to = dark ? 'light' : 'dark';
    root.dataset.theme = to;
    document.cookie = `theme=${to};path=/;max-age=31536000;samesite=lax`;
    say(`${to} theme`);
  },
  help: () => { $('[data-act=single]').checked = single(); $('#keys').showModal(); },
  pause: () => { paused = !paused; sessionStorage.setItem('paused', paused ? 'yes' : 'no'); offline(false); live(); say(paused ? 'Live updates paused' : 'Live updates on'); },
  'all-crm': () => pick('crm'),
  'all-erp': () => pick('erp'),
  'all-both': () => pick('both'),
  enter: () => { const field = document.activeElement?.closest('fieldset.field') ?? $('fieldset.field'); $('.other input[type=text],.other select', field ?? document)?.focus(); },
};
document.addEventListener('click', (event) => {
  const button = event.target.closest('[data-act]');
  if (button && acts[button.dataset.act]) acts[button.dataset.act](button);
});
document.addEventListener('change', (event) => {
  const input = event.target;
  if (input.dataset.act === 'single') localStorage.setItem('keys', input.checked ? 'on' : 'off');
  if (input.name?.startsWith('choice:')) count();
});
const typed = (event) => {
  const input = event.target;
  if (!input.name?.startsWith('value:') || !input.value) return;
  const radio = byKey(input.id.replace(/-text$/, '-value'), document);
  if (radio && !radio.checked) { radio.checked = true; count(); }
};
document.addEventListener('input', typed);

const single = () => localStorage.getItem('keys') !== 'off'; // WCAG 2.1.4: single-key shortcuts can be switched off
document.addEventListener('keydown', (event) => {
  const at = event.target;
  if (event.key === 'Escape' && at.matches('input,textarea,select')) return at.blur();
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing || !single() || at.matches(`${TYPING},[contenteditable]`) || $('dialog[open]')) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (key === 'j' || key === 'k') {
    const list = $$('.queue .cf');
    const now = list.findIndex((a) => a === document.activeElement);
    const from = now >= 0 ? now : list.findIndex((a) => a.hasAttribute('aria-current'));
    const next = list[Math.max(0, Math.min(list.length - 1, from + (key === 'j' ? 1 : -1)))];
    if (next) { event.preventDefault(); next.focus(); next.scrollIntoView({ block: 'nearest' }); }
    return;
  }
  const button = $$('[aria-keyshortcuts]').find((b) => b.getAttribute('aria-keyshortcuts').split(' ').includes(key) && b.offsetParent);
  if (button) { event.preventDefault(); button.click(); }
});
count();
live();
