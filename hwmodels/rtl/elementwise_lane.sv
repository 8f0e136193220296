// One lane of the element-wise unit: the aligned sum of two elements, or their product, in three stages or
// more (elementwise.lane_step). The sum's width has room for either, so that nothing is checked.
module elementwise_lane #(
    parameter int GUARD_BITS = 8,   // not negative
    parameter int MAX_SHIFT  = 31,
    parameter int ROUNDING   = 2,
    parameter int LATENCY    = 3,   // no less than the three stages
    parameter int CODE_BITS  = 16,
    parameter int SUM_BITS   = 32
) (
    input  logic                        clk,
    input  logic                        multiply,
    input  logic signed [CODE_BITS-1:0] a,
    input  logic signed           [7:0] a_exponent,
    input  logic signed [CODE_BITS-1:0] b,
    input  logic signed           [7:0] b_exponent,
    output logic signed  [SUM_BITS-1:0] sum,
    output logic signed           [8:0] exponent,
    output logic                  [1:0] flushed
);
  localparam logic signed [7:0] ZeroBlock = 8'h80;
  localparam logic signed [8:0] Guard = 9'(GUARD_BITS);
  localparam int Aligned = CODE_BITS + GUARD_BITS;

  // 1: the larger exponent, and how far below it either element lies
  logic signed [7:0] top;
  logic signed [8:0] exponent_of_sum, exponent_of_product, exponent_1;
  logic signed [CODE_BITS-1:0] a_1, b_1;
  logic [7:0] a_below, b_below;
  logic zero, multiplies;
  assign top  = a_exponent > b_exponent ? a_exponent : b_exponent;
  assign zero = a_exponent == ZeroBlock || b_exponent == ZeroBlock;
  assign exponent_of_sum     = 9'(top) - Guard;
  assign exponent_of_product = zero ? 9'(ZeroBlock) : 9'(a_exponent) + 9'(b_exponent);
  always_ff @(posedge clk) begin
    multiplies <= multiply;
    a_1        <= a;
    b_1        <= b;
    a_below    <= top - a_exponent;
    b_below    <= top - b_exponent;
    exponent_1 <= multiply ? exponent_of_product : exponent_of_sum;
  end

  // 2: aligned, or multiplied
  logic signed [2*CODE_BITS-1:0] product;
  logic signed [Aligned-1:0] a_aligned, b_aligned, right;
  logic signed [SUM_BITS-1:0] left;
  logic signed [8:0] exponent_2;
  logic a_lost, b_lost;
  logic [1:0] lost;
  aligner #(
      .X_BITS(CODE_BITS), .E_BITS(9), .GUARD_BITS(GUARD_BITS), .MAX_SHIFT(MAX_SHIFT), .LONGEST_LEFT(GUARD_BITS),
      .ROUNDING(ROUNDING)
  ) u_a (
      .x(a_1), .exponent(9'sd0), .bound({1'b0, a_below}), .y(a_aligned), .flushed(a_lost)
  );
  aligner #(
      .X_BITS(CODE_BITS), .E_BITS(9), .GUARD_BITS(GUARD_BITS), .MAX_SHIFT(MAX_SHIFT), .LONGEST_LEFT(GUARD_BITS),
      .ROUNDING(ROUNDING)
  ) u_b (
      .x(b_1), .exponent(9'sd0), .bound({1'b0, b_below}), .y(b_aligned), .flushed(b_lost)
  );
  multiplier #(.WA(CODE_BITS), .WB(CODE_BITS)) u_product (.a(a_1), .b(b_1), .p(product));
  always_ff @(posedge clk) begin
    left       <= multiplies ? SUM_BITS'(product) : SUM_BITS'(a_aligned);
    right      <= multiplies ? Aligned'(0) : b_aligned;
    exponent_2 <= exponent_1;
    lost       <= multiplies ? 2'd0 : {1'b0, a_lost} + {1'b0, b_lost};
  end

  // 3: added, and out as many cycles later as the pipeline is longer than three stages
  localparam int Last = LATENCY - 3;
  logic signed [SUM_BITS-1:0] total;
  logic signed [SUM_BITS-1:0] sums[Last+1];
  logic signed [8:0] exponents[Last+1];
  logic [1:0] losses[Last+1];
  assign total = left + SUM_BITS'(right);
  for (genvar i = 0; i <= Last; i++) begin : stage
    always_ff @(posedge clk) begin
      sums[i]      <= i == 0 ? total : sums[i==0?0:i-1];
      exponents[i] <= i == 0 ? exponent_2 : exponents[i==0?0:i-1];
      losses[i]    <= i == 0 ? lost : losses[i==0?0:i-1];
    end
  end
  assign sum      = sums[Last];
  assign exponent = exponents[Last];
  assign flushed  = losses[Last];
endmodule
