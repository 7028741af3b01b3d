"""Operations: the supervisor of the processes, and the map of the modules."""
