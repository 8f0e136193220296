// The bottom edge of an array's column: units.column. Sums are aligned and joined slot by slot, and in the
// last slot added to the accumulator's word, all in the cycle in which they arrive.
module column #(
    parameter int SUM_BITS    = 22,
    parameter int CHAINS      = 1,
    parameter int ROWS        = 64,
    parameter int BIAS_BITS   = 8,
    parameter int SLOT_BITS   = 7,
    parameter int MOVING_BITS = 8,
    parameter int FOLD_BITS   = 12,
    parameter int GUARD_BITS  = 8,
    parameter int MAX_SHIFT   = 31,
    parameter int ROUNDING    = 2,
    parameter int BITS        = 32,    // of the accumulator
    parameter bit SATURATING  = 1'b1,
    parameter int E           = 8,     // bits of an exponent
    parameter int BOUND       = 10,    // of a bound
    parameter int FRACTION    = 0,     // bits of the sums below their binary point
    parameter int PLACE       = FOLD_BITS + MOVING_BITS + SLOT_BITS + 2  // {fold, row, slot, last, valid}
) (
    input  logic                        clk,
    input  logic                        rst,
    input  logic            [PLACE-1:0] place,
    input  logic         [CHAINS*E-1:0] exponent,
    input  logic signed         [E-1:0] top,
    input  logic  [CHAINS*SUM_BITS-1:0] sum,
    input  logic         [CHAINS*E-1:0] held,
    input  logic signed         [E-1:0] held_top,
    input  logic signed     [BOUND-1:0] floor,
    input  logic signed [BIAS_BITS-1:0] bias,
    input  logic signed     [BOUND-1:0] bias_exponent,
    input  logic signed      [BITS-1:0] word,
    output logic            [PLACE-1:0] place_out,
    output logic         [CHAINS*E-1:0] exponent_out,
    output logic signed         [E-1:0] top_out,
    output logic                        write,
    output logic signed      [BITS-1:0] data,
    output logic                        overflow,
    output logic             [CHAINS:0] flushed
);
  // sums with bits below their binary point come as whole numbers: aligner.of_terms
  localparam int TermGuard = GUARD_BITS - FRACTION;
  localparam int Beyond = FRACTION > 0 ? MAX_SHIFT + FRACTION : MAX_SHIFT;
  localparam int TermShift = Beyond < 62 ? Beyond : 62;
  localparam int Reach = TermGuard < 1 ? 1 : TermGuard;
  localparam int Free = BITS - BIAS_BITS - 2 < MAX_SHIFT ? BITS - BIAS_BITS - 2 : MAX_SHIFT;
  localparam int BiasReach = Free < 1 ? 1 : Free;
  localparam int TermBits = SUM_BITS + Reach;
  localparam int JoinBits = TermBits + $clog2(ROWS);
  localparam logic signed [E-1:0] ZeroBlock = {1'b1, {(E - 1) {1'b0}}};

  // on to the next column
  logic valid, last, fresh;
  logic [SLOT_BITS-1:0] slot;
  logic [MOVING_BITS-1:0] row;
  logic [FOLD_BITS-1:0] fold;
  always_ff @(posedge clk) begin
    valid   <= ~rst & place[0];
    last    <= place[1];
    slot    <= place[2+:SLOT_BITS];
    row     <= place[2+SLOT_BITS+:MOVING_BITS];
    fold    <= place[2+SLOT_BITS+MOVING_BITS+:FOLD_BITS];
    top_out <= top;
  end
  assign place_out = {fold, row, slot, last, valid};
  assign fresh     = fold == '0;

  // E of the output
  logic signed [E:0] product;
  logic signed [BOUND-1:0] above, bound;
  assign product = (E + 1)'(top) + (E + 1)'(held_top);
  assign above   = top == ZeroBlock || held_top == ZeroBlock ? floor : BOUND'(product);
  assign bound   = above > floor ? above : floor;

  // each sum under E, and all of a row together
  logic signed [E-1:0] exponents[CHAINS];
  logic signed [JoinBits-1:0] partial;
  logic [(CHAINS+1)*JoinBits-1:0] joined;
  assign joined[JoinBits-1:0] = slot == '0 ? '0 : partial;
  for (genvar i = 0; i < CHAINS; i++) begin : chain
    logic signed [BOUND-1:0] e;
    logic signed [TermBits-1:0] term;
    logic lost;
    assign e = BOUND'($signed(exponent[i*E+:E])) + BOUND'($signed(held[i*E+:E]));
    aligner #(
        .X_BITS(SUM_BITS), .E_BITS(BOUND), .GUARD_BITS(TermGuard), .MAX_SHIFT(TermShift),
        .LONGEST_LEFT(Reach), .ROUNDING(ROUNDING)
    ) u_aligner (
        .x(sum[i*SUM_BITS+:SUM_BITS]), .exponent(e), .bound(bound), .y(term), .flushed(lost)
    );
    assign joined[(i+1)*JoinBits+:JoinBits] = joined[i*JoinBits+:JoinBits] + JoinBits'(term);
    assign flushed[i] = valid & lost;
    always_ff @(posedge clk) exponents[i] <= exponent[i*E+:E];
    assign exponent_out[i*E+:E] = exponents[i];
  end
  always_ff @(posedge clk) partial <= joined[CHAINS*JoinBits+:JoinBits];

  // the accumulator
  logic signed [BITS-1:0] aligned;
  logic bias_lost, over;
  aligner #(
      .X_BITS(BIAS_BITS), .E_BITS(BOUND), .GUARD_BITS(GUARD_BITS), .MAX_SHIFT(MAX_SHIFT),
      .LONGEST_LEFT(BiasReach), .ROUNDING(ROUNDING), .OUT_BITS(BITS)
  ) u_bias (
      .x(bias), .exponent(bias_exponent), .bound(bound), .y(aligned), .flushed(bias_lost)
  );
  accumulator #(.BITS(BITS), .SUM_BITS(JoinBits), .SATURATING(SATURATING)) u_accumulator (
      .acc(fresh ? aligned : word),
      .x(joined[CHAINS*JoinBits+:JoinBits]),
      .sum(data),
      .overflow(over)
  );
  assign write = valid & last;
  assign overflow = write & over;
  assign flushed[CHAINS] = write & fresh & bias_lost;
endmodule
