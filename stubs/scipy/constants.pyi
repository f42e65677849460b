e: float
N_A: float
calorie: float
