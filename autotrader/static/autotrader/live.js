// The page's side of the live feed: lines for the event lists, pokes for the panels, polling while the feed is away.
"use strict";
(() => {
  const POLL_MS = 5000, POKE_MS = 500, CREDIT = 3, IDLE_MS = 50, ACK_LINES = 64, ACK_MS = 5000, SILENCE_MS = 40000;
  const REST_MS = 250, LATEST_MS = 1000, ROWS_MS = 50, MOST_ROWS = 20;
  const OURS = "X-Correlation-Id"; // each answer of the site has it
  const LONGEST_WAIT_MS = 3000, LATER_MS = 10000, OPENING_MS = 5000, AGAIN_MS = 3000, MOST_LINES = 100, OLD_S = 15;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const { feed, after, seal: read, now: told } = document.body.dataset;
  const skew = told ? Date.parse(told) - Date.now() : 0;
  const serverNow = () => Date.now() + skew;

  // -- The badge: what the reader may believe ----------------------------------------------------------------------
  const WORDS = {
    live: ["live", "Changes are shown as they happen."],
    connecting: ["connecting", "The live feed is being opened."],
    reconnecting: ["stream error: reconnecting", "The live feed broke off. It goes on where it stopped."],
    polling: ["polling", `The panels are asked anew every ${POLL_MS / 1000} seconds; there is no live feed here.`],
    error: ["stream error: polling", `No live feed. The panels are asked anew every ${POLL_MS / 1000} seconds.`],
    ended: ["login ended", "Log in again: nothing here is renewed any more."],
    away: ["stream error: database away", "The server does not reach its database. What is shown may be old."],
  };
  const LOOKS = { connecting: "reconnecting", away: "error", ended: "error" };
  const badge = document.getElementById("feed");
  function say(state) {
    if (!badge) return;
    const [text, title] = WORDS[state];
    badge.hidden = false;
    badge.dataset.state = LOOKS[state] || state;
    badge.title = title;
    if (badge.textContent !== text) badge.textContent = text;
  }

  // -- Panels: poked soon, after three times twice a second at most, and never under somebody's hands --------------
  const poked = new WeakMap();
  const panels = () => all("[data-panel]");
  const memory = (panel) => poked.get(panel) || poked.set(panel, {
    at: -Infinity, credit: CREDIT, timer: 0, waits: false, html: null, // its renewals
    askedAt: 0, shownAt: -Infinity, rows: new Set(), asksRows: false, fresh: [], // its rows by themselves
  }).get(panel);
  const changed = (field) => "checked" in field && /checkbox|radio/.test(field.type) ? field.checked !== field.defaultChecked
    : field.tagName === "SELECT" ? field.selectedIndex !== Math.max(0, [...field.options].findIndex((one) => one.defaultSelected))
    : field.value !== field.defaultValue;
  function isEdited(panel) {
    const active = document.activeElement;
    if (panel.contains(active) && active.matches("input, select, textarea, form button")) return true;
    return all("input:not([type=hidden]), select, textarea", panel).some(changed);
  }

  function poke(panel) {
    const kept = memory(panel);
    if (document.hidden || isEdited(panel)) {
      kept.waits = true;
      if (!document.hidden) panel.dataset.stale = "Not renewed while you write here.";
      return;
    }
    if (kept.timer) return;
    const now = performance.now();
    const credit = Math.min(CREDIT, kept.credit + (now - kept.at) / POKE_MS);
    if (credit < 1) {
      kept.timer = setTimeout(() => { kept.timer = 0; poke(panel); }, (1 - credit) * POKE_MS);
      return;
    }
    kept.credit = credit - 1;
    kept.at = now;
    kept.waits = false;
    htmx.trigger(panel, "poke");
  }
  const pokeAll = () => panels().forEach(poke);
  const pokeWaiting = () => panels().filter((panel) => memory(panel).waits).forEach(poke);
  const isAbout = (element, cause) => {
    const about = element.dataset.about;
    return !about || cause === about || String(cause).startsWith(`${about}.`); // an execution's is its cycle's and a number
  };
  // When what comes together has come, and the page has nothing else to do: what one order sets off renews a panel once,
  // and neither a line nor a row that comes meanwhile waits for panels, here or at the server.
  const idle = window.requestIdleCallback || ((work) => setTimeout(work)), due = new Set();
  let rest = 0, firstAt = 0;
  function pokeFor(line, shown) {
    for (const panel of shown) {
      if (!isAbout(panel, line.cause) || !panel.dataset.panel.split(/\s+/).some((word) => line.pokes.includes(word))) continue;
      if (!due.size) firstAt = performance.now();
      due.add(panel);
      clearTimeout(rest);
      rest = setTimeout(() => idle(pokeDue, { timeout: IDLE_MS }), Math.min(REST_MS, firstAt + LATEST_MS - performance.now()));
    }
  }
  function pokeDue() {
    const now = [...due];
    due.clear();
    now.forEach(poke);
  }

  document.addEventListener("visibilitychange", () => { if (!document.hidden) { tick(); pokeWaiting(); } });
  document.addEventListener("focusout", () => setTimeout(pokeWaiting));
  document.addEventListener("reset", () => setTimeout(pokeWaiting));

  // What a swap would lose is put back: open details, how far a table was moved, where the keyboard stood.
  const HANDLES = "a, button, summary";
  const name = (element) => `${element.tagName} ${element.getAttribute("href") || ""} ${element.textContent.trim()}`;
  const held = new WeakMap();
  document.addEventListener("htmx:beforeSwap", (event) => {
    const panel = event.detail.target;
    if (!panel.matches("[data-panel]")) return;
    if (isEdited(panel)) {
      event.detail.shouldSwap = false;
      memory(panel).waits = true;
      panel.dataset.stale = "Not renewed while you write here.";
      return;
    }
    const { shouldSwap, serverResponse } = event.detail;
    if (shouldSwap) memory(panel).shownAt = memory(panel).askedAt;
    if (shouldSwap && memory(panel).html === serverResponse) { // what is read aloud is read once
      event.detail.shouldSwap = false;
      delete panel.dataset.stale;
      return;
    }
    if (shouldSwap) memory(panel).html = serverResponse;
    const active = panel.contains(document.activeElement) ? document.activeElement : null;
    held.set(panel, {
      open: all("details", panel).map((one) => one.open),
      places: all(".desk-scroll, .web-lines, .desk-text", panel).map((one) => [one.scrollLeft, one.scrollTop]),
      active: active && active.matches(HANDLES) ? name(active) : "",
    });
  });
  document.addEventListener("htmx:afterSwap", (event) => {
    const panel = event.detail.target, before = held.get(panel);
    if (!before) return;
    held.delete(panel);
    delete panel.dataset.stale;
    all("details", panel).forEach((one, index) => { if (index in before.open) one.open = before.open[index]; });
    all(".desk-scroll, .web-lines, .desk-text", panel).forEach((one, index) => {
      if (before.places[index]) [one.scrollLeft, one.scrollTop] = before.places[index];
    });
    if (before.active) all(HANDLES, panel).find((one) => name(one) === before.active)?.focus({ preventScroll: true });
    const kept = memory(panel), fresh = kept.fresh;
    kept.fresh = [];
    fresh.forEach((answer) => putRows(panel, answer)); // those that the renewal was asked before
    tick();
  });
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.detail.target?.matches("[data-panel]")) memory(event.detail.target).askedAt = performance.now();
  });
  for (const failure of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(failure, (event) => {
      const panel = event.target.closest?.("[data-panel]");
      if (!panel) return;
      const since = new Date(serverNow()).toISOString().slice(11, 19);
      if (!(panel.dataset.stale || "").startsWith("Out of date")) {
        panel.dataset.stale = `Out of date since ${since} UTC: the server does not answer.`;
      }
      memory(panel).waits = true;
    });
  }

  // -- Rows that a fill changed: sent with its line, asked for at once where a list is narrowed; its panel comes after --
  const rowsOf = (panel) => (panel.dataset.rows ? panel.querySelector("tbody") : null);
  const isSent = (panel) => panel.dataset.rows && !panel.dataset.about && !panel.getAttribute("hx-get").includes("?");
  function rowsFor(line, shown) {
    if (!line.rows) return;
    for (const panel of shown) {
      if (!rowsOf(panel) || isSent(panel) || !isAbout(panel, line.cause)) continue;
      for (const row of line.rows) {
        const [of, ...key] = row.split(":");
        if (of === panel.dataset.rows) memory(panel).rows.add(key.join(":"));
      }
    }
  }
  async function askRows(panel) {
    const kept = memory(panel), keys = [...kept.rows], at = performance.now();
    if (kept.asksRows || !keys.length) return;
    kept.rows.clear();
    if (document.hidden || isEdited(panel) || keys.length > MOST_ROWS) return; // its renewal shows them
    kept.asksRows = true;
    const url = new URL(panel.getAttribute("hx-get"), location.href);
    keys.forEach((key) => url.searchParams.append("only", key));
    try {
      const answer = await fetch(url, { headers: { "HX-Request": "true" }, signal: AbortSignal.timeout(10000) });
      const html = answer.status === 200 && answer.headers.has(OURS) ? await answer.text() : null;
      if (html !== null && isRows(html)) putRows(panel, { at, keys, html });
    } catch { /* its renewal says what is wrong */ }
    setTimeout(() => { kept.asksRows = false; askRows(panel); }, ROWS_MS);
  }
  // A page of a login or of a proxy is none: it would take the rows away that were asked for.
  function isRows(html) {
    const maker = document.createElement("template");
    maker.innerHTML = html;
    return [...maker.content.childNodes].every((one) => one.matches?.("tr[data-row]") || (one.nodeName === "#text" && !one.data.trim()));
  }
  // Each in its place; one that no longer fits the list goes. Where an old row comes to a list, its renewal shows
  // that, and where a list begins, one that is asked for at once. What a renewal was asked before is put again after it.
  function putRows(panel, answer) {
    const kept = memory(panel), list = rowsOf(panel), place = (row) => Number(row.dataset.place);
    if (!list || answer.at <= kept.shownAt || document.hidden || isEdited(panel)) return;
    const maker = document.createElement("template");
    maker.innerHTML = answer.html; // written and escaped by the server
    const come = all("tr[data-row]", maker.content);
    for (const key of answer.keys) {
      const is = (row) => row.dataset.row === key;
      const shown = all(":scope > tr[data-row]", list), old = shown.find(is), row = come.find(is);
      const active = old?.contains(document.activeElement) ? name(document.activeElement) : "";
      if (old && row) old.replaceWith(row);
      else if (old) old.remove();
      else if (row) shown.find((other) => place(other) < place(row))?.before(row);
      if (active && row) all(HANDLES, row).find((one) => name(one) === active)?.focus({ preventScroll: true });
    }
    kept.fresh = [...kept.fresh, answer].slice(-MOST_ROWS);
    kept.html = null; // the next answer is shown, also if it says what the last one did
  }

  // -- Feed lists: newest on top, nothing twice --------------------------------------------------------------------
  const number = (item) => Number(item.dataset.seq);
  function put(list, line) {
    const newest = list.querySelector(":scope > [data-seq]");
    let next = newest;
    if (newest && number(newest) >= line.seq) { // seldom: lines come in their order
      const items = all(":scope > [data-seq]", list);
      if (items.some((item) => number(item) === line.seq)) return;
      next = items.find((other) => number(other) < line.seq) || null;
    }
    const maker = document.createElement("template");
    maker.innerHTML = line.html; // written and escaped by the server
    const item = maker.content.firstElementChild;
    if (!item) return;
    item.dataset.seq = line.seq;
    item.classList.add("web-new");
    if (!newest) all(":scope > .desk-empty", list).forEach((empty) => empty.remove());
    list.insertBefore(item, next);
    while (list.childElementCount > MOST_LINES) list.lastElementChild.remove();
  }
  const lists = (within = document) => all("[data-lines]", within);
  const pause = (ms) => new Promise((done) => setTimeout(done, ms));
  async function freshPage() {
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(10000) });
      return answer.ok ? new DOMParser().parseFromString(await answer.text(), "text/html") : null;
    } catch { return null; }
  }
  // Until it has come: the lines between are told nowhere else. The feed goes on where the page that came ends.
  async function reloadLists() {
    if (!lists().length) return;
    let page = await freshPage();
    for (let wait = 1000; !page; wait = Math.min(LATER_MS, 2 * wait)) {
      await pause(wait);
      page = await freshPage();
    }
    const fresh = lists(page);
    lists().forEach((list, index) => { if (fresh[index]) list.replaceChildren(...fresh[index].childNodes); });
    const { after: from, seal: sealed } = page.body.dataset;
    if (from) { place = Number(from); seal = sealed || ""; }
  }

  // -- The socket --------------------------------------------------------------------------------------------------
  let place = Number(after), seal = read || "", socket = null, tries = 0, isUp = false, wasUp = false, isOver = false, hasFeed = Boolean(feed);
  let unacked = 0, owes = false, ackedAt = 0, heardAt = 0, downAt = performance.now(), pollAt = performance.now(), settles = Promise.resolve();

  function connect() {
    const url = new URL(`${feed}?after_id=${place}`, location.href);
    const wanted = panels().filter(isSent).map((panel) => panel.dataset.rows);
    if (wanted.length) url.searchParams.set("rows", wanted.join(","));
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const mine = socket = new WebSocket(url);
    heardAt = performance.now();
    mine.onmessage = (event) => {
      heardAt = performance.now();
      let frame;
      try { frame = JSON.parse(event.data); } catch { mine.close(); return; }
      if (mine === socket) take(frame);
    };
    mine.onclose = (event) => { if (mine === socket) lost(event.code); };
  }
  function take(frame) {
    if (frame.start) {
      if (seal && frame.start.hash !== seal) { // another event has our place's number: the log was put back meanwhile
        anew(frame.start.head);
        socket.close();
        return;
      }
      seal = frame.start.hash;
      opened();
    }
    if ("away" in frame) { say(frame.away ? "away" : "live"); if (!frame.away) pokeAll(); }
    if (frame.resync) anew(frame.resync.after);
    if (frame.rows) {
      const answer = { at: performance.now(), keys: Object.keys(frame.rows), html: Object.values(frame.rows).join("") };
      for (const panel of panels().filter((one) => isSent(one) && one.dataset.rows === frame.of)) {
        if (rowsOf(panel)) putRows(panel, answer);
        else if (answer.html) poke(panel); // the first of an empty list: there is no table yet
      }
      owes = true;
    }
    if (!("to" in frame)) return;
    const shown = panels(), feeds = lists();
    for (const line of frame.lines) {
      if (line.seq <= place) continue;
      feeds.filter((list) => isAbout(list, line.cause)).forEach((list) => put(list, line));
      rowsFor(line, shown);
      pokeFor(line, shown);
      unacked += 1;
    }
    shown.forEach(askRows);
    place = Math.max(place, frame.to);
    seal = frame.hash || seal;
    owes = true;
    if (unacked >= ACK_LINES || performance.now() - ackedAt >= ACK_MS) acknowledge();
  }
  function anew(from) {
    place = from;
    seal = "";
    settles = reloadLists();
    pokeAll();
  }
  function opened() {
    isUp = true;
    tries = 0;
    say("live");
    if (wasUp) pokeAll(); // what changed meanwhile may have made no event
    wasUp = true;
  }
  function acknowledge() {
    ackedAt = performance.now();
    unacked = 0;
    owes = false;
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ ack: place }));
  }
  function lost(code) {
    const wasOpen = isUp;
    if (isUp) downAt = pollAt = performance.now();
    isUp = owes = false;
    unacked = 0;
    if (code === 4401 && !wasOpen) return ended(); // an open feed also ends where rights changed: it may come back
    if (code === 4403) { hasFeed = false; return say("polling"); }
    const isLong = code === 4410 || code === 4429;
    say(isLong || performance.now() - downAt >= POLL_MS ? "error" : "reconnecting");
    const wait = isLong ? LATER_MS : Math.min(LONGEST_WAIT_MS, 250 * 2 ** tries) * (0.6 + 0.4 * Math.random());
    tries += 1;
    setTimeout(() => settles.then(connect), wait);
  }
  function ended() {
    hasFeed = false;
    say("ended");
    const banner = document.createElement("p");
    banner.className = "web-banner";
    banner.setAttribute("role", "alert");
    banner.append("Your login ended. What is shown here is not renewed any more. ");
    const link = document.createElement("a");
    link.href = location.href; // asks for the login where the page needs one
    link.textContent = "Log in again";
    banner.append(link);
    (document.querySelector(".web-bar") || document.body.firstElementChild).after(banner);
    isOver = true;
    for (const panel of panels()) panel.dataset.stale = "Not renewed any more: your login ended.";
  }

  // -- Once a second: ages, clocks, live numbers, polls, acknowledgements ------------------------------------------
  const clock = (seconds) => {
    const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, Math.floor(seconds) % 60];
    return (parts[0] ? parts : parts.slice(1)).map((part, index) => (index ? String(part).padStart(2, "0") : part)).join(":");
  };
  function mark(time, kind, text) {
    let span = time.querySelector(`:scope > .${kind}`);
    if (!text) { span?.remove(); return; }
    if (!span) {
      span = document.createElement("span");
      span.className = kind;
      time.append(span);
    }
    if (span.textContent !== text) span.textContent = text;
  }
  function tick() {
    for (const time of all("time[data-age]")) {
      const age = (serverNow() - Date.parse(time.dateTime)) / 1000;
      time.classList.toggle("web-old", age > OLD_S);
      mark(time, "web-age", age > OLD_S ? ` · ${age < 90 ? `${Math.floor(age)} s` : clock(age)} old` : "");
    }
    for (const time of all("time[data-until]")) {
      const left = (Date.parse(time.dateTime) - serverNow()) / 1000;
      time.textContent = left > 0 ? `${clock(left)} left` : "time is over";
    }
    const shown = document.getElementById("clock");
    if (shown) shown.textContent = `${new Date(serverNow()).toISOString().slice(11, 19)} UTC`;
  }
  function second() {
    const at = performance.now();
    tick();
    if (isOver) return;
    if (socket && socket.readyState <= WebSocket.OPEN && at - heardAt > (isUp ? SILENCE_MS : OPENING_MS)) {
      socket.onclose = socket.onmessage = null; // a network that is gone tells nobody
      socket.close();
      lost(1006);
    }
    if (owes && at - ackedAt >= ACK_MS) acknowledge();
    if (!isUp && at - pollAt >= POLL_MS) {
      pollAt = at;
      if (hasFeed && at - downAt >= POLL_MS) say("error");
      pokeAll();
    } else if (!document.hidden) {
      // What a panel shows at this moment may be worth asking anew sooner than what it mostly shows: a notice, say.
      const every = (panel) => panel.querySelector(":scope > [data-every]")?.dataset.every || panel.dataset.every;
      const isDue = (panel, age) => age >= 1000 * every(panel) - 100 || (memory(panel).waits && age >= AGAIN_MS);
      panels().filter((panel) => isDue(panel, at - memory(panel).at)).forEach(poke);
    }
  }
  tick();
  setInterval(second, 1000);
  if (hasFeed) { say("connecting"); connect(); } else if (panels().length) say("polling");
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
})();
