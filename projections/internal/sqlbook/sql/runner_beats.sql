-- All runners that are alive. They are few.
SELECT node, beat FROM {prefix}projection_runner;
