"""Apache Kafka: the stream."""
