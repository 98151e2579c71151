package prooph_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/stele-es/stele/internal/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }
