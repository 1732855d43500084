package bench

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"
	"time"
)

//go:embed page.html
var pageTemplate string

// The page's measures, in the drawing's own units.
const (
	pageWidth = 960.0
	barsLeft  = 220.0
	// barsUnit is the width of the documented figure, barsMost of the longest bar.
	barsUnit  = 260.0
	barsMost  = 480.0
	laneLeft  = 130.0
	laneRight = 880.0
)

// page is what the template is filled with; every text in it is escaped there.
type page struct {
	Host, When, Took, Box, Versions string
	Warnings                        []string
	Bars                            []barView
	BarsHeight                      int
	Waterfall                       bool
	WaterfallTitle, WaterfallNote   string
	WaterfallHeight                 int
	AxisBottom, AxisText            int
	Ticks                           []tickView
	Legend                          []legendView
	Lanes                           []laneView
	History                         []historyView
	Rows                            []rowView
}

type barView struct {
	Title, Figure, Says, Color    string
	Y, Text, Middle, Top, Bottom  int
	Width, Mark, After, Low, High float64
	Whisker                       bool
}

type tickView struct {
	X     float64
	Label string
}

type legendView struct {
	X, TextX     float64
	Color, Label string
}

type laneView struct {
	Title, Total string
	Text         int
	After        float64
	Spans        []spanView
}

type spanView struct {
	X, Width     float64
	Y            int
	Color, Label string
}

type historyView struct {
	Title, Line, Top string
	Documented       bool
	DocumentedY      float64
	Points           []pointView
}

type pointView struct {
	X, Y, Low, High float64
	Label           string
}

type rowView struct {
	Title, Median, Spread, Error, Kubelet, Documented, Says, Lately, Failure, Evidence string
	Runs                                                                               int
	Parts                                                                              []string
}

// HTML returns the result as one page that needs nothing from elsewhere. past
// are the earlier results of the box, for the history and, where this result
// has no timeline of its own, for the newest one.
func (r Result) HTML(past []Result) ([]byte, error) {
	t, err := template.New("page").Parse(pageTemplate)
	if err != nil {
		return nil, fmt.Errorf("read the page's template: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, r.page(past)); err != nil {
		return nil, fmt.Errorf("write the page: %w", err)
	}
	return b.Bytes(), nil
}

func (r Result) page(past []Result) page {
	p := page{
		Host: r.Host, When: r.Started.UTC().Format("2 January 2006, 15:04 UTC"), Took: (time.Duration(r.Took) * time.Second).String(),
		Box: fmt.Sprintf("%s: %s, %d cores, %.1f GiB, %s, kernel %s", r.Box.Name, strings.Join(strings.Fields(r.Box.CPU), " "),
			r.Box.Cores, float64(r.Box.MemoryBytes)/(1<<30), r.Box.Distribution, r.Box.Kernel),
		Versions: fmt.Sprintf("k3s %s, %s, profile %s, ssg-bootstrap %s", r.Versions.K3s, r.Versions.Runtime, r.Versions.Profile, r.Versions.Tool),
		Warnings: r.Warnings,
	}
	p.bars(r)
	p.waterfall(r, past)
	p.history(r, past)
	for _, row := range r.Rows {
		p.Rows = append(p.Rows, row.view())
	}
	return p
}

func (p *page) bars(r Result) {
	const step = 30
	for _, row := range r.Rows {
		if !row.Measured() || row.Documented == nil || row.Documented.Value <= 0 {
			continue
		}
		y := len(p.Bars)*step + 6
		x := func(v float64) float64 { return barsLeft + min(v/row.Documented.Value*barsUnit, barsMost) }
		color := "bar"
		switch row.Verdict {
		case Better:
			color = "good"
		case Worse:
			color = "bad"
		}
		end := x(row.Median)
		p.Bars = append(p.Bars, barView{
			Title: row.short(), Figure: Show(row.Median, row.Unit), Says: row.Documented.text(row.Unit) + ": " + row.says(), Color: color,
			Y: y, Text: y + 13, Middle: y + 8, Top: y - 4, Bottom: y + 20,
			Width: max(1, end-barsLeft), Mark: barsLeft + barsUnit, After: max(end, x(row.Max), barsLeft+barsUnit) + 8,
			Low: x(row.Min), High: x(row.Max), Whisker: row.Max > row.Min,
		})
	}
	p.BarsHeight = len(p.Bars)*step + 10
}

// phases are the waterfall's colours and words.
func phases() []legendView {
	return []legendView{
		{Color: "image", Label: "place, volume, image"}, {Color: "init", Label: "init containers"},
		{Color: "start", Label: "start"}, {Color: "ready", Label: "serves, not yet Ready"},
	}
}

func colorOf(ph Phase) string {
	i := slices.Index([]Phase{PhaseImage, PhaseInit, PhaseStart, PhaseReady}, ph)
	return phases()[max(i, 0)].Color
}

func (p *page) waterfall(r Result, past []Result) {
	t, title := r.Timeline, "Cold deploy, from nothing to Ready"
	if t == nil {
		for _, old := range slices.Backward(past) {
			if old.Timeline != nil {
				t = old.Timeline
				title = "The deployment of " + old.Started.UTC().Format("2 January 2006, 15:04 UTC")
				break
			}
		}
	} else if r.Kind == KindInstall {
		title = "The first deployment"
	}
	if t == nil || t.Seconds <= 0 {
		return
	}
	const step, top = 26, 34
	p.Waterfall, p.WaterfallTitle = true, title
	p.WaterfallNote = "Observed on the box; Ready is by Kubernetes' word, in whole seconds."
	if t.Method == MethodKubelet {
		p.WaterfallNote = "By Kubernetes' word alone: whole seconds, and Ready only as often as its probes ask."
	}
	x := func(s float64) float64 { return laneLeft + s/t.Seconds*(laneRight-laneLeft) }
	lanes := map[string]int{}
	for _, s := range t.Spans {
		i, ok := lanes[s.Component]
		if !ok {
			i = len(p.Lanes)
			lanes[s.Component] = i
			p.Lanes = append(p.Lanes, laneView{Title: s.Component, Text: top + i*step + 14})
		}
		l := &p.Lanes[i]
		l.Spans = append(l.Spans, spanView{
			X: x(s.From), Width: max(1, x(s.To)-x(s.From)), Y: top + i*step, Color: colorOf(s.Phase),
			Label: strings.TrimSpace(fmt.Sprintf("%s %s: %s to %s s", s.Phase, s.Name, number(s.From), number(s.To))),
		})
		if after := x(s.To) + 6; after > l.After {
			l.After, l.Total = after, Show(s.To, Seconds)
		}
	}
	p.AxisBottom = top + len(p.Lanes)*step + 4
	p.AxisText, p.WaterfallHeight = p.AxisBottom+16, p.AxisBottom+24
	for s := 0.0; s <= t.Seconds; s += tickStep(t.Seconds) {
		p.Ticks = append(p.Ticks, tickView{x(s), Show(s, Seconds)})
	}
	at := laneLeft
	for _, l := range phases() {
		l.X, l.TextX = at, at+18
		p.Legend = append(p.Legend, l)
		at += 40 + 7*float64(len(l.Label))
	}
}

// tickStep is a round number of which four to ten fit.
func tickStep(all float64) float64 {
	step := math.Pow(10, math.Floor(math.Log10(all)))
	for all/step < 4 {
		step /= 2
	}
	return step
}

func (p *page) history(r Result, past []Result) {
	all := slices.Clone(past)
	all = slices.DeleteFunc(all, func(x Result) bool { return x.Kind != KindBench || !x.Started.Before(r.Started) })
	all = append(all, r)
	if len(all) < 2 {
		return
	}
	for _, row := range r.Rows {
		var of []Row
		var when []time.Time
		for _, x := range all {
			if old, ok := x.Row(row.Metric); ok && old.Measured() && old.Method == row.Method {
				of, when = append(of, old), append(when, x.Started)
			}
		}
		if len(of) >= 2 {
			p.History = append(p.History, historyOf(row, of, when))
		}
	}
}

func historyOf(row Row, of []Row, when []time.Time) historyView {
	const left, right, bottom, top = 45.0, 290.0, 104.0, 16.0
	most := 0.0
	for _, x := range of {
		most = max(most, x.Max)
	}
	v := historyView{Title: row.Title}
	if row.Documented != nil && row.Documented.Value < 3*most {
		most = max(most, row.Documented.Value)
		v.Documented = true
	}
	most = max(most, 1e-9)
	y := func(f float64) float64 { return bottom - f/most*(bottom-top) }
	if v.Documented {
		v.DocumentedY = y(row.Documented.Value)
	}
	v.Top = number(most)
	var line []string
	for i, x := range of {
		at := left + (right-left)*float64(i)/float64(len(of)-1)
		v.Points = append(v.Points, pointView{
			X: at, Y: y(x.Median), Low: y(x.Min), High: y(x.Max),
			Label: when[i].UTC().Format("2 January 2006") + ": " + Show(x.Median, x.Unit),
		})
		line = append(line, fmt.Sprintf("%.1f,%.1f", at, y(x.Median)))
	}
	v.Line = strings.Join(line, " ")
	return v
}

func (r Row) view() rowView {
	v := rowView{
		Title: r.Title, Median: "–", Runs: len(r.Samples), Documented: r.Documented.text(r.Unit), Says: r.says(), Lately: r.lately(), Spread: r.spread(),
	}
	if r.Failure != nil {
		v.Failure, v.Evidence = r.Failure.Text, r.Failure.Evidence
	}
	if !r.Measured() {
		return v
	}
	v.Median = Show(r.Median, r.Unit)
	worst, believed := 0.0, []float64{}
	for _, s := range r.Samples {
		worst = max(worst, s.Error)
		if s.Kubelet != nil {
			believed = append(believed, *s.Kubelet)
		}
	}
	if worst > 0 {
		v.Error = "± " + Show(worst, r.Unit)
	}
	if len(believed) > 0 {
		v.Kubelet = Show(Median(believed), r.Unit)
	}
	for _, part := range r.Parts {
		v.Parts = append(v.Parts, part.Name+": "+Show(part.Value, part.Unit))
	}
	if r.Baseline != nil {
		v.Parts = append(v.Parts, "yours: "+r.Baseline.text(r.Unit))
	}
	return v
}
