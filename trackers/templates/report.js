(function () {
  "use strict";
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const plots = Array.from(document.querySelectorAll("[data-plot]"));
  const templates = JSON.parse(document.getElementById("templates").textContent);
  // Named one by one, so that no button that uploads a figure can appear.
  const buttons = [["toImage", "zoom2d", "pan2d", "resetScale2d"]];
  const config = { displaylogo: false, responsive: true, plotlyServerURL: "", modeBarButtons: buttons };
  const narrow = window.matchMedia("(max-width: 40rem)");
  let printing = false;

  // What a figure wants otherwise on a narrow page: paths into its layout, such as "yaxis.ticktext".
  function narrowed(layout) {
    for (const [path, value] of Object.entries((layout.meta && layout.meta.narrow) || {})) {
      const names = path.split("."), last = names.pop();
      names.reduce((place, name) => (place[name] = place[name] || {}), layout)[last] = value;
    }
  }

  function draw(place) {
    const figure = JSON.parse(document.getElementById(place.dataset.plot).textContent);
    figure.layout.template = dark.matches && !printing ? templates.dark : templates.light;
    if (narrow.matches && !printing) { narrowed(figure.layout); }
    place.dataset.drawn = "yes";
    return Plotly.react(place, figure.data, figure.layout, config).catch(function (error) {
      place.textContent = "This figure could not be drawn: " + error.message;
    });
  }

  function redraw() {
    plots.filter((place) => place.dataset.drawn).forEach(draw);
  }

  // A page of a hundred figures opens at once: each is drawn when it comes near the window.
  const watcher = new IntersectionObserver(
    function (entries) {
      entries.filter((entry) => entry.isIntersecting).forEach(function (entry) {
        watcher.unobserve(entry.target);
        draw(entry.target);
      });
    },
    { rootMargin: "800px" }
  );
  plots.forEach((place) => watcher.observe(place));
  dark.addEventListener("change", redraw);
  narrow.addEventListener("change", redraw);

  window.addEventListener("beforeprint", function () {
    printing = true;
    document.querySelectorAll("details").forEach((each) => { each.open = true; });
    plots.forEach(draw);
  });
  window.addEventListener("afterprint", function () {
    printing = false;
    redraw();
  });

  function openTarget() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const details = target && target.closest("details");
    if (details) {
      details.open = true;
      target.scrollIntoView();
    }
  }
  window.addEventListener("hashchange", openTarget);
  openTarget();

  // A click on a heading sorts by its column, a second one the other way round; empty cells stay last.
  function sortBy(button) {
    const heading = button.closest("th");
    const body = button.closest("table").tBodies[0];
    const column = heading.cellIndex;
    const descending = heading.getAttribute("aria-sort") === "ascending"
      || (!heading.hasAttribute("aria-sort") && button.dataset.first === "descending");
    heading.parentElement.querySelectorAll("th").forEach((each) => each.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const value = (row) => row.cells[column].dataset.value;
    const numbers = heading.classList.contains("number");
    const compare = function (one, other) {
      const a = value(one), b = value(other);
      if (a === "" || b === "") { return (a === "") - (b === ""); }
      const order = numbers ? Number(a) - Number(b) : a.localeCompare(b, "en", { numeric: true });
      return descending ? -order : order;
    };
    Array.from(body.rows).sort(compare).forEach((row) => body.appendChild(row));
  }
  document.querySelectorAll("th button").forEach(function (button) {
    button.addEventListener("click", () => sortBy(button));
  });
})();
