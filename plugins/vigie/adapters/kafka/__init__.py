"""The stream on Apache Kafka."""
