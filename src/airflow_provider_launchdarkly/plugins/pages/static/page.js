// The one script of the pages: the viewer's own time zone, filters, and news. It writes text, never markup of its own.
"use strict";

const units = [["day", 86400], ["hour", 3600], ["minute", 60]];

function fromNow(at) {
  const seconds = (at - Date.now()) / 1000;
  const [unit, size] = units.find(([, length]) => Math.abs(seconds) >= 2 * length) || ["minute", 60];
  return new Intl.RelativeTimeFormat(undefined, { numeric: "auto" }).format(Math.round(seconds / size), unit);
}

function localTimes(root) {
  for (const element of root.querySelectorAll("time[datetime]")) {
    const at = new Date(element.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    element.title = at.toISOString();
    const exact = at.toLocaleString(undefined, { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
    element.textContent = `${exact} (${fromNow(at)})`;
  }
}

function filter() {
  const wanted = [...document.querySelectorAll("select[data-filter]")].filter((select) => select.value);
  for (const row of document.querySelectorAll("#ld-experiments tbody tr[data-experiment]")) {
    row.hidden = !wanted.every((select) => row.dataset[select.dataset.filter].split("\n").includes(select.value));
  }
}

// Airflow shows the page in a frame that may not leave itself. Its own document may: the link is followed there.
function follow(event) {
  const link = event.target.closest("a[href]");
  if (!link || window.parent === window || event.defaultPrevented) return;
  const inside = new URL(link.href).pathname.includes("/launchdarkly/experiment");
  if (inside && new URL(link.href).origin === location.origin) return;
  event.preventDefault();
  const outer = window.parent.document.createElement("a");
  outer.href = link.href;
  if (new URL(link.href).origin !== location.origin || event.ctrlKey || event.metaKey) {
    outer.target = "_blank";
    outer.rel = "noopener noreferrer";
  }
  outer.click();
}

async function refresh() {
  const old = document.getElementById("ld-list");
  const status = document.getElementById("ld-status");
  if (!old) return;
  if (!document.hidden) {
    try {
      const answer = await fetch("experiments/rows", { credentials: "same-origin" });
      if (!answer.ok) throw new Error(`Airflow answers ${answer.status}`);
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("ld-list");
      if (fresh && !old.contains(document.activeElement)) {
        old.replaceWith(document.adoptNode(fresh));
        localTimes(fresh);
        filter();
      }
      status.textContent = "";
    } catch (error) {
      status.textContent = `Not up to date: ${error.message}`;
    }
  }
  later();
}

function later() {
  const list = document.getElementById("ld-list");
  if (list) setTimeout(refresh, Number(list.dataset.pending) > 0 ? 1000 : 30000);
}

localTimes(document);
document.addEventListener("change", filter);
document.addEventListener("click", follow);
later();
