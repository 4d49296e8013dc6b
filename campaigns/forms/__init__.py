"""The admin's forms read what people typed and hand it to a service, which says what is wrong."""
