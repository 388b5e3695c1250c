package main

import (
	"fmt"
	"slices"
	"strings"
)

// table collects figures by row and server, in the order in which rows came.
type table struct {
	rows  []string
	cells map[string]map[string]*cell
}

type cell struct {
	format string
	values []float64
}

func (t *table) add(row, server string, values []float64, format string) {
	if t.cells == nil {
		t.cells = map[string]map[string]*cell{}
	}
	if t.cells[row] == nil {
		t.rows = append(t.rows, row)
		t.cells[row] = map[string]*cell{}
	}
	c := t.cells[row][server]
	if c == nil {
		c = &cell{format: format}
		t.cells[row][server] = c
	}
	c.values = append(c.values, values...)
}

// String is the median of each cell and its range.
func (c *cell) String() string {
	if c == nil {
		return "–"
	}
	v := slices.Sorted(slices.Values(c.values))
	s := fmt.Sprintf(c.format, (v[(len(v)-1)/2]+v[len(v)/2])/2)
	if len(v) > 1 {
		s += fmt.Sprintf(" ("+c.format+"–"+c.format+")", v[0], v[len(v)-1])
	}
	return s
}

// markdown has a column for each server that has a figure anywhere.
func (t *table) markdown(servers []string) string {
	servers = slices.DeleteFunc(slices.Clone(servers), func(s string) bool {
		return !slices.ContainsFunc(t.rows, func(r string) bool { return t.cells[r][s] != nil })
	})
	var b strings.Builder
	b.WriteString("| | " + strings.Join(servers, " | ") + " |\n|---" + strings.Repeat("|---", len(servers)) + "|\n")
	for _, r := range t.rows {
		b.WriteString("| " + r)
		for _, s := range servers {
			b.WriteString(" | " + t.cells[r][s].String())
		}
		b.WriteString(" |\n")
	}
	return b.String()
}
