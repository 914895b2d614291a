function bump() { total++ }
