// Block floating-point multiply-accumulate: acc + a dot b, LANES products of elements with a sign and M bits
// of magnitude, one exponent per operand for all lanes. acc is in units of 2**(bound - GUARD): `bound` is no
// less than any sum of exponents, and known beforehand. The sum of products, with GUARD bits behind it, is
// shifted right to that place, rounded half to even once, and added with saturation.
module mac_block #(
    parameter int LANES = 16,
    parameter int M     = 5,
    parameter int E     = 8,
    parameter int GUARD = 8,
    parameter int ACC   = 32
) (
    input  logic                     clk,
    input  logic                     first,
    input  logic   [LANES*(M+1)-1:0] a,
    input  logic   [LANES*(M+1)-1:0] b,
    input  logic signed      [E-1:0] a_exponent,
    input  logic signed      [E-1:0] b_exponent,
    input  logic signed        [E:0] bound,
    output logic signed    [ACC-1:0] acc
);
  localparam int SUM = 2 * M + 1 + $clog2(LANES);
  localparam int W = SUM + GUARD;
  localparam int S = $clog2(W + 1);

  logic signed [2*M:0] product[LANES];
  logic signed [SUM-1:0] dot;
  for (genvar i = 0; i < LANES; i++) begin : lane
    logic [M:0] x, y;
    logic [2*M-1:0] magnitude;
    logic signed [2*M:0] positive;
    assign x          = a[i*(M+1)+:M+1];
    assign y          = b[i*(M+1)+:M+1];
    assign magnitude  = x[M-1:0] * y[M-1:0];
    assign positive   = {1'b0, magnitude};
    assign product[i] = x[M] ^ y[M] ? -positive : positive;
  end
  always_comb begin
    dot = '0;
    for (int i = 0; i < LANES; i++) dot = dot + SUM'(product[i]);
  end

  logic signed [E+1:0] distance;
  logic [S-1:0] shift;
  logic signed [W-1:0] guarded, term;
  logic signed [ACC-1:0] start, sum;
  logic overflow;
  assign start    = first ? '0 : acc;
  assign distance = (E + 2)'(bound) - (E + 2)'(a_exponent) - (E + 2)'(b_exponent);
  assign shift    = int'(distance) > W ? S'(W) : S'(distance);  // nothing is left of what is shifted so far
  assign guarded  = W'(dot) <<< GUARD;
  round_shift #(.W(W), .S(S)) u_align (.x(guarded), .s(shift), .y(term));
  accumulator #(.BITS(ACC), .SUM_BITS(W)) u_acc (
      .acc(start), .x(term), .sum(sum), .overflow(overflow)
  );
  always_ff @(posedge clk) acc <= sum;
  logic unused;
  assign unused = overflow;
endmodule
