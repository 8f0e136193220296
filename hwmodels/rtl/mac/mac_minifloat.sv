// Minifloat multiply-accumulate: acc + a dot b, LANES products of elements with E exponent and M fraction
// bits, summed exactly: every product is an integer in units of the smallest one, the square of the smallest
// subnormal. No code is an infinity or NaN. The sum saturates at ACC bits.
module mac_minifloat #(
    parameter int LANES = 16,
    parameter int E     = 4,
    parameter int M     = 3,
    parameter int ACC   = 48
) (
    input  logic                     clk,
    input  logic                     first,
    input  logic [LANES*(E+M+1)-1:0] a,
    input  logic [LANES*(E+M+1)-1:0] b,
    output logic signed    [ACC-1:0] acc
);
  localparam int W = 2 * M + 2 + 2 * ((1 << E) - 2);  // bits of the largest product
  localparam int SUM = W + 1 + $clog2(LANES);
  logic signed [W:0] product[LANES];
  logic signed [SUM-1:0] dot;
  for (genvar i = 0; i < LANES; i++) begin : lane
    logic [E+M:0] x, y;
    logic x_normal, y_normal;
    logic [2*M+1:0] significand;
    logic [E:0] shift;
    logic signed [W:0] magnitude;
    assign x           = a[i*(E+M+1)+:E+M+1];
    assign y           = b[i*(E+M+1)+:E+M+1];
    assign x_normal    = x[M+:E] != '0;
    assign y_normal    = y[M+:E] != '0;
    assign significand = {x_normal, x[M-1:0]} * {y_normal, y[M-1:0]};
    assign shift       = {1'b0, x[M+:E]} - (E + 1)'(x_normal) + {1'b0, y[M+:E]} - (E + 1)'(y_normal);
    assign magnitude   = (W + 1)'(significand) << shift;
    assign product[i]  = x[E+M] ^ y[E+M] ? -magnitude : magnitude;
  end
  always_comb begin
    dot = '0;
    for (int i = 0; i < LANES; i++) dot = dot + SUM'(product[i]);
  end

  logic signed [ACC-1:0] start, sum;
  logic overflow;
  assign start = first ? '0 : acc;
  accumulator #(.BITS(ACC), .SUM_BITS(SUM)) u_acc (
      .acc(start), .x(dot), .sum(sum), .overflow(overflow)
  );
  always_ff @(posedge clk) acc <= sum;
  logic unused;
  assign unused = overflow;
endmodule
