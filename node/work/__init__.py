"""From received instances to finished readings: settling, workflow, worker, and the reader process."""
