//go:build unix

package killtest

import "syscall"

// Halt stops the child where it is, until Continue. A machine that sleeps looks like that.
// It does nothing to a child that has ended.
func (c *Child) Halt() { _ = c.command.Process.Signal(syscall.SIGSTOP) }

// Continue lets a child go on that was halted.
func (c *Child) Continue() { _ = c.command.Process.Signal(syscall.SIGCONT) }
