/* The charts of a decision: fetched as JSON when their tab is first shown, drawn by Lightweight Charts in the colours of
   the page, and drawn anew when these change or when the decision's orders do. Without this the page shows pictures. */
(() => {
  "use strict";

  const LIBRARY = window.LightweightCharts;
  const FITTED = 260;
  const NEAR = 60;
  // Beside the last bar stand the names of the prices and the words at the last fill, in pixels; then comes the scale.
  const WORDS = 84;
  const SCALE = 70;
  const NARROW = 600;
  const LINE = { lineWidth: 1, priceLineVisible: false, lastValueVisible: false, crosshairMarkerVisible: false };
  const AVERAGES = ["sma_fast", "sma_medium", "sma_slow"];
  const BANDS = ["bollinger_upper", "bollinger_middle", "bollinger_lower"];
  const still = window.matchMedia("(prefers-reduced-motion: reduce)");

  // The page may name its colours in any way CSS knows; the library takes numbers.
  const probe = document.createElement("canvas").getContext("2d", { willReadFrequently: true });

  function rgb(name, fallback) {
    const value = getComputedStyle(document.body).getPropertyValue(name).trim();
    probe.clearRect(0, 0, 1, 1);
    probe.fillStyle = fallback;
    if (value) probe.fillStyle = value;
    probe.fillRect(0, 0, 1, 1);
    return [...probe.getImageData(0, 0, 1, 1).data];
  }

  const css = ([red, green, blue, alpha], part = 1) => `rgba(${red}, ${green}, ${blue}, ${(alpha / 255) * part})`;

  function palette() {
    const paper = rgb("--desk-paper", "#ffffff");
    const dark = paper[0] + paper[1] + paper[2] < 384;
    const up = rgb("--desk-good", "#0a7a5c");
    const down = rgb("--desk-bad", "#c0293f");
    const muted = rgb("--desk-muted", "#64748b");
    return {
      paper: css(paper), ink: css(rgb("--desk-ink", "#0f172a")), muted: css(muted),
      grid: css(rgb("--desk-line", "#e2e8f0"), 0.7), line: css(rgb("--desk-line", "#e2e8f0")),
      up: css(up), down: css(down), upSoft: css(up, 0.4), downSoft: css(down, 0.4),
      band: css(muted, 0.8), middle: css(muted, 0.45), none: "rgba(0, 0, 0, 0)",
      sma_fast: dark ? "#f2b13c" : "#b86e00", sma_medium: dark ? "#6ea3ff" : "#1f5fe0",
      sma_slow: dark ? "#c49bf5" : "#7b3fc4", entry: css(rgb("--desk-busy", "#1d56b8")),
    };
  }

  // What is not known yet is a place without a value.
  const points = (told, values, more = () => ({})) =>
    told.time.map((time, at) => (values[at] === null ? { time } : { time, value: values[at], ...more(at) }));

  const rises = (told, at) => told.close[at] >= told.open[at];

  function moment(told, time) {
    const text = new Date(time * 1000).toISOString();
    return told.intraday ? `${text.slice(0, 10)} ${text.slice(11, 16)}` : text.slice(0, 10);
  }

  const plain = (value, places) =>
    value === null || value === undefined
      ? "–"
      : value.toLocaleString("en-GB", { minimumFractionDigits: places, maximumFractionDigits: places });

  const placesOf = (told) => (Math.max(...told.close.slice(-NEAR).map((value) => value || 0)) < 10 ? 4 : 2);

  function options(told, colours) {
    const places = placesOf(told);
    return {
      autoSize: true,
      // The sentence under the charts names the library and links to its makers, as its notice asks.
      layout: {
        attributionLogo: false, background: { type: "solid", color: colours.paper }, textColor: colours.muted,
        fontSize: window.innerWidth < NARROW ? 10 : 12, panes: { separatorColor: colours.line },
      },
      grid: { vertLines: { color: colours.grid }, horzLines: { color: colours.grid } },
      crosshair: { mode: LIBRARY.CrosshairMode.Normal },
      rightPriceScale: { borderColor: colours.line },
      timeScale: { borderColor: colours.line, timeVisible: told.intraday, secondsVisible: false, minBarSpacing: 0.2 },
      localization: {
        locale: "en-GB",
        timeFormatter: (time) => moment(told, time),
        priceFormatter: (value) => (Math.abs(value) >= 1e5 ? short(value) : plain(value, places)),
      },
      // A finger that moves up or down scrolls the page, not the chart.
      handleScroll: { vertTouchDrag: false },
      kineticScroll: { touch: !still.matches, mouse: false },
    };
  }

  function short(value) {
    const [size, letter] = [[1e9, "B"], [1e6, "M"], [1e3, "k"]].find(([least]) => Math.abs(value) >= least) || [1, ""];
    return `${plain(value / size, size === 1 ? 0 : 2)}${letter}`;
  }

  function drawPrice(chart, told, colours) {
    const line = (name, colour, more = {}) =>
      chart.addSeries(LIBRARY.LineSeries, { ...LINE, color: colour, ...more }).setData(points(told, told.lines[name]));
    line("bollinger_upper", colours.band);
    line("bollinger_middle", colours.middle, { lineStyle: LIBRARY.LineStyle.Dotted });
    line("bollinger_lower", colours.band);
    const prices = told.levels.map((level) => level.price);
    const candles = chart.addSeries(LIBRARY.CandlestickSeries, {
      upColor: colours.up, wickUpColor: colours.up, borderUpColor: colours.up,
      downColor: colours.down, wickDownColor: colours.down, borderDownColor: colours.down,
      priceLineVisible: false,
      autoscaleInfoProvider: (original) => widened(original(), prices),
    });
    candles.setData(candleData(told));
    AVERAGES.forEach((name) => line(name, colours[name]));
    drawTrend(chart, told, colours);
    drawLevels(candles, told, colours);
    drawFills(chart, told, colours);
  }

  // Stop and target are in sight with the candles, however far they are.
  function widened(found, prices) {
    if (!found || !found.priceRange || !prices.length) return found;
    const { minValue, maxValue } = found.priceRange;
    return { ...found, priceRange: { minValue: Math.min(minValue, ...prices), maxValue: Math.max(maxValue, ...prices) } };
  }

  const candleData = (told) =>
    told.time.map((time, at) => {
      const bar = { open: told.open[at], high: told.high[at], low: told.low[at], close: told.close[at] };
      return Object.values(bar).includes(null) ? { time } : { time, ...bar };
    });

  // One series each way; where the trend turns, the line of the other way is not seen.
  function drawTrend(chart, told, colours) {
    for (const [way, colour] of [[1, colours.up], [-1, colours.down]]) {
      const seen = (at) => ({ color: told.trend[at] === way && told.trend[at + 1] === way ? colour : colours.none });
      chart
        .addSeries(LIBRARY.LineSeries, { ...LINE, lineWidth: 2, color: colour })
        .setData(points(told, told.lines.supertrend, seen));
    }
  }

  function drawLevels(candles, told, colours) {
    const colour = { entry: colours.entry, stop: colours.down, target: colours.up };
    for (const level of told.levels) {
      candles.createPriceLine({
        price: level.price, title: level.words, color: colour[level.kind], lineWidth: 2,
        lineStyle: LIBRARY.LineStyle.Dashed, axisLabelVisible: true,
      });
    }
  }

  // A series of their own, not drawn itself: a fill may be younger than the last bar of the analysis.
  function drawFills(chart, told, colours) {
    if (!told.fills.length) return;
    const last = new Map(told.fills.map((fill) => [fill.time, fill.price]));
    const series = chart.addSeries(LIBRARY.LineSeries, { ...LINE, lineVisible: false, color: colours.ink });
    series.setData([...last].map(([time, value]) => ({ time, value })));
    const marks = told.fills.map((fill) => {
      const buys = fill.side === "BUY";
      return {
        time: fill.time, price: fill.price, position: buys ? "atPriceBottom" : "atPriceTop",
        shape: buys ? "arrowUp" : "arrowDown", color: buys ? colours.up : colours.down, text: fillWords(fill, told),
      };
    });
    LIBRARY.createSeriesMarkers(series, marks);
  }

  const fillWords = (fill, told) =>
    `${fill.side} ${fill.quantity.toLocaleString("en-GB")} @ ${plain(fill.price, placesOf(told))}`;

  function drawBelow(chart, told, colours) {
    const way = (soft) => (at) => ({ color: rises(told, at) ? colours[`up${soft}`] : colours[`down${soft}`] });
    const sign = (at) => ({ color: told.lines.macd_histogram[at] >= 0 ? colours.upSoft : colours.downSoft });
    const bars = (values, pane, more) =>
      chart
        .addSeries(LIBRARY.HistogramSeries, { priceLineVisible: false, lastValueVisible: false }, pane)
        .setData(points(told, values, more));
    const line = (name, colour, pane) => {
      const series = chart.addSeries(LIBRARY.LineSeries, { ...LINE, color: colour }, pane);
      series.setData(points(told, told.lines[name]));
      return series;
    };
    bars(told.volume, 1, way("Soft"));
    line("volume_average", colours.ink, 1);
    bars(told.lines.macd_histogram, 2, sign);
    line("macd", colours.sma_medium, 2);
    line("macd_signal", colours.sma_fast, 2);
    const rsi = line("rsi", colours.sma_slow, 3);
    rsi.applyOptions({ autoscaleInfoProvider: () => ({ priceRange: { minValue: 0, maxValue: 100 } }) });
    for (const price of [30, 70]) {
      rsi.createPriceLine({ price, color: colours.muted, lineWidth: 1, lineStyle: LIBRARY.LineStyle.Dotted, axisLabelVisible: false });
    }
    [5, 1, 1.3, 1.2].forEach((share, at) => chart.panes()[at].setStretchFactor(share));
  }

  /* The line of numbers above a chart: those of the bar under the pointer, else of the last. */
  function legend(element, told, colours, at) {
    const places = placesOf(told);
    const entry = (words, colour) => {
      const part = document.createElement("span");
      part.textContent = `${words}  `;
      part.style.color = colour;
      return part;
    };
    const value = (name, digits = places) => `${told.labels[name]} ${plain(told.lines[name][at], digits)}`;
    const clock = told.intraday ? told.zone : `day, ${told.zone}`;
    const bar = ["open", "high", "low", "close"].map((name) => `${name[0].toUpperCase()} ${plain(told[name][at], places)}`);
    element.replaceChildren(
      entry(`${moment(told, told.time[at])} (${clock})`, colours.ink),
      entry(bar.join(" "), rises(told, at) ? colours.up : colours.down),
      entry(value("supertrend"), told.trend[at] > 0 ? colours.up : colours.down),
      ...AVERAGES.map((name) => entry(value(name), colours[name])),
      ...BANDS.filter((name) => name !== "bollinger_middle").map((name) => entry(value(name), colours.muted)),
      entry(`Volume ${short(told.volume[at] || 0)} (${told.labels.volume_average} ${short(told.lines.volume_average[at] || 0)})`, colours.muted),
      entry(`${value("macd")} ${value("macd_signal")}`, colours.sma_medium),
      entry(value("rsi", 1), colours.sma_slow),
    );
  }

  class Chart {
    constructor(panel) {
      this.panel = panel;
      this.state = "new";
      this.chart = null;
    }

    async show() {
      if (this.state === "new") await this.load();
    }

    async load() {
      this.state = "loading";
      try {
        const answer = await fetch(this.panel.dataset.chart, { headers: { Accept: "application/json" } });
        if (answer.redirected) throw new Error("Your login ended; load the page again.");
        if (!answer.ok) throw new Error(answer.status === 404 ? await answer.text() : `The chart could not be loaded (${answer.status}).`);
        const text = await answer.text();
        this.state = "drawn";
        if (text === this.text) return;
        this.text = text;
        this.told = JSON.parse(text);
        this.draw();
      } catch (error) {
        this.state = this.chart ? "drawn" : "failed";
        if (!this.chart) this.fail(error.message);
      }
    }

    fail(reason) {
      const said = document.createElement("p");
      said.className = "desk-note";
      said.textContent = reason;
      const picture = document.createElement("img");
      picture.className = "desk-chart";
      picture.alt = this.panel.dataset.sentence;
      picture.addEventListener("error", () => picture.remove());
      picture.src = this.panel.dataset.picture;
      this.panel.append(said, picture);
    }

    frame() {
      if (this.box) return;
      const bar = document.createElement("div");
      bar.className = "web-toolbar";
      bar.style.cssText = "padding-inline: 0; border: 0";
      bar.setAttribute("role", "group");
      bar.setAttribute("aria-label", "What the chart shows");
      const views = { Fit: () => this.fit(), "Last 60": () => this.near(), All: () => this.all() };
      for (const [name, view] of Object.entries(views)) {
        const button = document.createElement("button");
        button.type = "button";
        button.className = "desk-button";
        button.textContent = name;
        button.addEventListener("click", view);
        bar.append(button);
      }
      this.legend = document.createElement("p");
      this.legend.className = "desk-note desk-mono";
      this.legend.style.minHeight = "4.5em";
      this.box = document.createElement("div");
      this.box.className = "web-chart";
      this.box.style.height = "clamp(460px, 72vh, 680px)";
      this.box.tabIndex = 0;
      this.box.setAttribute("role", "img");
      this.box.setAttribute("aria-label", `${this.panel.dataset.sentence} Arrow keys move it, plus and minus zoom, F fits it.`);
      this.box.addEventListener("keydown", (event) => this.key(event));
      this.panel.append(bar, this.legend, this.box);
    }

    draw() {
      this.frame();
      const range = this.chart && this.chart.timeScale().getVisibleLogicalRange();
      if (this.chart) this.chart.remove();
      const { told } = this;
      const colours = palette();
      this.chart = LIBRARY.createChart(this.box, options(told, colours));
      drawPrice(this.chart, told, colours);
      drawBelow(this.chart, told, colours);
      const places = new Map(told.time.map((time, at) => [time, at]));
      const last = told.time.length - 1;
      legend(this.legend, told, colours, last);
      this.chart.subscribeCrosshairMove((where) => legend(this.legend, told, colours, places.get(where.time) ?? last));
      if (range) this.see(range.from, range.to);
      else if (this.box.clientWidth < NARROW) this.near();
      else this.fit();
      this.panel.dataset.drawn = String(told.time.length);
    }

    get count() {
      const outside = new Set(this.told.fills.map((fill) => fill.time).filter((time) => !this.told.time.includes(time)));
      return this.told.time.length + outside.size;
    }

    see(from, to) {
      this.chart.timeScale().setVisibleLogicalRange({ from, to });
      this.panel.dataset.from = from.toFixed(1);
      this.panel.dataset.to = to.toFixed(1);
    }

    last(bars) {
      this.chart.panes().forEach((pane) => pane.priceScale("right").applyOptions({ autoScale: true }));
      const shown = Math.min(bars, this.count);
      const plot = Math.max(this.box.clientWidth - SCALE, 2 * WORDS);
      this.see(this.count - shown - 0.5, this.count - 0.5 + (shown * WORDS) / (plot - WORDS));
    }

    fit() {
      this.last(FITTED);
    }

    near() {
      this.last(NEAR);
    }

    all() {
      this.last(this.count);
    }

    key(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const { from, to } = this.chart.timeScale().getVisibleLogicalRange();
      const step = Math.max(1, (to - from) / 10);
      const moves = {
        ArrowLeft: () => this.see(from - step, to - step), ArrowRight: () => this.see(from + step, to + step),
        "+": () => this.see(from + step, to), "=": () => this.see(from + step, to), "-": () => this.see(from - step, to),
        f: () => this.fit(), F: () => this.fit(), Home: () => this.all(), End: () => this.near(),
      };
      if (!moves[event.key]) return;
      event.preventDefault();
      moves[event.key]();
    }
  }

  function tabs(group, charts) {
    const buttons = [...group.querySelectorAll("[data-tabs] [role=tab]")];
    const choose = (at, focus) => {
      buttons.forEach((button, index) => {
        button.setAttribute("aria-selected", String(index === at));
        button.tabIndex = index === at ? 0 : -1;
        charts[index].panel.hidden = index !== at;
      });
      if (focus) buttons[at].focus();
      charts[at].show();
    };
    buttons.forEach((button, at) => {
      button.addEventListener("click", () => choose(at));
      button.addEventListener("keydown", (event) => {
        const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        if (step) choose((at + step + buttons.length) % buttons.length, true);
      });
    });
    group.querySelector("[data-tabs]").hidden = buttons.length < 2;
    choose(0);
  }

  const charts = [...document.querySelectorAll("[data-chart]")].map((panel) => new Chart(panel));
  const drawn = () => charts.filter((chart) => chart.chart);
  const repaint = () => requestAnimationFrame(() => drawn().forEach((chart) => chart.draw()));

  document.querySelectorAll("[data-charts]").forEach((group) => {
    const own = charts.filter((chart) => group.contains(chart.panel));
    if (!own.length) return;
    if (LIBRARY) tabs(group, own);
    else own.forEach((chart) => chart.fail("The charts' library did not load; this is the picture."));
  });
  // A new fill, or an order that moved: the same address answers "as before" where the chart has not changed.
  document.body.addEventListener("htmx:afterSwap", (event) => {
    if (event.target.id === "outcome") drawn().forEach((chart) => chart.load());
  });
  document.addEventListener("themechange", repaint);
})();
