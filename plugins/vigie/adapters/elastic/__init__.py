"""The log index on Elasticsearch 8 and 9."""
