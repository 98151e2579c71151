package stele

import (
	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/projections"
)

// Parts are what a configuration tells the packages that a node is made of.
func (c Config) Parts() (actors.Config, projections.Config) { return c.parts() }
