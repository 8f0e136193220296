// Integer multiply-accumulate: acc + a dot b, LANES products of W x W bits, modulo 2**ACC.
module mac_int #(
    parameter int LANES = 16,
    parameter int W     = 8,
    parameter int ACC   = 32
) (
    input  logic                  clk,
    input  logic                  first,
    input  logic    [LANES*W-1:0] a,
    input  logic    [LANES*W-1:0] b,
    output logic signed [ACC-1:0] acc
);
  localparam int SUM = 2 * W + $clog2(LANES);
  logic signed [2*W-1:0] product[LANES];
  logic signed [SUM-1:0] dot;
  for (genvar i = 0; i < LANES; i++) begin : lane
    multiplier #(.WA(W), .WB(W)) u (.a(a[i*W+:W]), .b(b[i*W+:W]), .p(product[i]));
  end
  always_comb begin
    dot = '0;
    for (int i = 0; i < LANES; i++) dot = dot + SUM'(product[i]);
  end
  always_ff @(posedge clk) acc <= (first ? ACC'(0) : acc) + ACC'(dot);
endmodule
