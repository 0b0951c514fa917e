# Says so and ends at once, with EXIT_CODE (1).
echo "exit-now ends with ${EXIT_CODE:-1}"
exit "${EXIT_CODE:-1}"
