"""Measurements that claims about speed and memory rest on."""
