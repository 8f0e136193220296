// The bottom edge of a column where the bound rises with the terms: units.rising_column. In each slot the word
// takes its terms one after the other; with its bound it is kept from slot to slot, and written in the last.
module rising_column #(
    parameter int SUM_BITS    = 22,
    parameter int CHAINS      = 1,
    parameter int BIAS_BITS   = 8,
    parameter int SLOT_BITS   = 7,
    parameter int MOVING_BITS = 8,
    parameter int FOLD_BITS   = 12,
    parameter int GUARD_BITS  = 8,
    parameter int MAX_SHIFT   = 31,
    parameter int ROUNDING    = 2,
    parameter int BITS        = 32,           // of the accumulator
    parameter bit SATURATING  = 1'b1,
    parameter int E           = 8,            // bits of an exponent
    parameter int BOUND       = 10,           // of a bound
    parameter int FRACTION    = 0,            // bits of the sums below their binary point
    parameter int WORD        = BOUND + BITS, // {bound, sum}
    parameter int PLACE       = FOLD_BITS + MOVING_BITS + SLOT_BITS + 2  // {fold, row, slot, last, valid}
) (
    input  logic                        clk,
    input  logic                        rst,
    input  logic            [PLACE-1:0] place,
    input  logic         [CHAINS*E-1:0] exponent,
    input  logic  [CHAINS*SUM_BITS-1:0] sum,
    input  logic         [CHAINS*E-1:0] held,
    input  logic signed     [BOUND-1:0] floor,
    input  logic signed [BIAS_BITS-1:0] bias,
    input  logic signed     [BOUND-1:0] bias_exponent,
    input  logic             [WORD-1:0] word,
    output logic            [PLACE-1:0] place_out,
    output logic         [CHAINS*E-1:0] exponent_out,
    output logic                        write,
    output logic             [WORD-1:0] data,
    output logic           [CHAINS-1:0] overflow,
    output logic           [2*CHAINS:0] flushed
);
  localparam int Free = BITS - BIAS_BITS - 2 < MAX_SHIFT ? BITS - BIAS_BITS - 2 : MAX_SHIFT;
  localparam int BiasReach = Free < 1 ? 1 : Free;

  // on to the next column
  logic valid, last, first, fresh;
  logic [SLOT_BITS-1:0] slot;
  logic [MOVING_BITS-1:0] row;
  logic [FOLD_BITS-1:0] fold;
  always_ff @(posedge clk) begin
    valid <= ~rst & place[0];
    last  <= place[1];
    slot  <= place[2+:SLOT_BITS];
    row   <= place[2+SLOT_BITS+:MOVING_BITS];
    fold  <= place[2+SLOT_BITS+MOVING_BITS+:FOLD_BITS];
  end
  assign place_out = {fold, row, slot, last, valid};
  assign first     = slot == '0;
  assign fresh     = fold == '0;

  // what an output begins with, and what it has in this slot
  logic signed [BITS-1:0] aligned, partial;
  logic signed [BOUND-1:0] raised;
  logic bias_lost;
  aligner #(
      .X_BITS(BIAS_BITS), .E_BITS(BOUND), .GUARD_BITS(GUARD_BITS), .MAX_SHIFT(MAX_SHIFT),
      .LONGEST_LEFT(BiasReach), .ROUNDING(ROUNDING), .OUT_BITS(BITS)
  ) u_bias (
      .x(bias), .exponent(bias_exponent), .bound(floor), .y(aligned), .flushed(bias_lost)
  );
  logic [(CHAINS+1)*BITS-1:0] words;
  logic [(CHAINS+1)*BOUND-1:0] bounds;
  assign words[BITS-1:0]   = ~first ? partial : fresh ? aligned : word[BITS-1:0];
  assign bounds[BOUND-1:0] = ~first ? raised : fresh ? floor : word[BITS+:BOUND];

  logic signed [E-1:0] exponents[CHAINS];
  for (genvar i = 0; i < CHAINS; i++) begin : chain
    logic over, lost, dropped;
    rising_term #(
        .SUM_BITS(SUM_BITS), .GUARD_BITS(GUARD_BITS), .MAX_SHIFT(MAX_SHIFT), .ROUNDING(ROUNDING),
        .BITS(BITS), .SATURATING(SATURATING), .E(E), .BOUND(BOUND), .FRACTION(FRACTION)
    ) u (
        .word(words[i*BITS+:BITS]), .bound(bounds[i*BOUND+:BOUND]), .x(sum[i*SUM_BITS+:SUM_BITS]),
        .row(exponent[i*E+:E]), .column(held[i*E+:E]), .data(words[(i+1)*BITS+:BITS]),
        .top(bounds[(i+1)*BOUND+:BOUND]), .overflow(over), .flushed(lost), .dropped(dropped)
    );
    assign overflow[i] = valid & over;
    assign flushed[i] = valid & lost;
    assign flushed[CHAINS+i] = valid & dropped;
    always_ff @(posedge clk) exponents[i] <= exponent[i*E+:E];
    assign exponent_out[i*E+:E] = exponents[i];
  end
  always_ff @(posedge clk) begin
    partial <= words[CHAINS*BITS+:BITS];
    raised  <= bounds[CHAINS*BOUND+:BOUND];
  end
  assign write = valid & last;
  assign data = {bounds[CHAINS*BOUND+:BOUND], words[CHAINS*BITS+:BITS]};
  assign flushed[2*CHAINS] = valid & first & fresh & bias_lost;
endmodule
