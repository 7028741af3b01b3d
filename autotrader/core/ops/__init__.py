"""Operations: the supervisor of the processes, their health and numbers, the log, and the map of the modules."""
