-- Runners that are alive, with the number of their last sign of life. One that ends or
-- dies is removed.
CREATE TABLE {prefix}projection_runner (
  node text {bytewise} NOT NULL,
  beat bigint NOT NULL,
  CONSTRAINT projection_runner_pkey PRIMARY KEY (node)
) {filled};
