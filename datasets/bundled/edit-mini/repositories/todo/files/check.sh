# The long checks: they take a minute.
sleep 60
python3 -m unittest -q
