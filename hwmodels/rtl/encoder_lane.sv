// One lane of the encoder, encoder_step.lane_step: the search for the largest rank, and pass 2 in four stages
// or more. Where passes are MERGED the search has registers of its own.
module encoder_lane #(
    parameter bit MERGED        = 1'b1,
    parameter int LATENCY       = 4,    // no less than the four stages
    parameter int BITS          = 8,
    parameter int STORED_BITS   = 3,
    parameter bit HIDDEN        = 1'b1,
    parameter int LARGEST       = 126,
    parameter int FRACTION      = 11,
    parameter bit GEOMETRIC     = 1'b0,
    parameter bit SIGNED        = 1'b1,
    parameter bit ROOTS         = 1'b0,
    parameter int FORM          = 13,   // of an integer in the largest code's binade, see requantizer_exponent
    parameter int REACH         = 14,   // the largest exponent of a code
    parameter int SUM_BITS      = 48,
    parameter int EXPONENT_BITS = 10,
    parameter int RANK_BITS     = 12
) (
    input  logic                            clk,
    input  logic signed      [SUM_BITS-1:0] sum,
    input  logic signed [EXPONENT_BITS-1:0] exponent,
    input  logic signed      [SUM_BITS-1:0] written_sum,
    input  logic signed [EXPONENT_BITS-1:0] written_exponent,
    input  logic                            ranked,
    input  logic                            first,
    input  logic signed     [RANK_BITS-1:0] top,
    input  logic                            own,
    input  logic signed     [RANK_BITS-1:0] joined,
    input  logic                            anchored,
    input  logic signed               [7:0] anchor,
    output logic signed     [RANK_BITS-1:0] peak,
    output logic                 [BITS-1:0] code,
    output logic                            saturated,
    output logic signed               [7:0] stored,
    output logic                            clamped
);
  localparam logic signed [RANK_BITS-1:0] Lowest = {1'b1, {(RANK_BITS - 1) {1'b0}}};

  // 1: registers
  logic signed [SUM_BITS-1:0] sum_read, searched;
  logic signed [EXPONENT_BITS-1:0] exponent_read, searched_exponent;
  sum_register #(.SUM_BITS(SUM_BITS), .EXPONENT_BITS(EXPONENT_BITS)) read (
      .clk(clk), .x(sum), .e(exponent), .sum(sum_read), .exponent(exponent_read)
  );
  for (genvar i = 0; i < 32'(MERGED); i++) begin : written
    sum_register #(.SUM_BITS(SUM_BITS), .EXPONENT_BITS(EXPONENT_BITS)) u (
        .clk(clk), .x(written_sum), .e(written_exponent), .sum(searched), .exponent(searched_exponent)
    );
  end
  if (!MERGED) begin : separate
    assign searched = sum_read;
    assign searched_exponent = exponent_read;
    logic unused;
    assign unused = ^{written_sum, written_exponent};
  end

  // the search, 2: the largest rank so far
  logic signed [RANK_BITS-1:0] rank, start;
  encoder_rank #(
      .GEOMETRIC(GEOMETRIC), .SUM_BITS(SUM_BITS), .EXPONENT_BITS(EXPONENT_BITS), .RANK_BITS(RANK_BITS)
  ) u_rank (
      .sum(searched), .exponent(searched_exponent), .rank(rank)
  );
  assign start = first ? Lowest : peak;
  always_ff @(posedge clk) if (ranked) peak <= start > rank ? start : rank;

  // 2: wait for the largest rank of the block
  logic signed [SUM_BITS-1:0] waiting, placed;
  logic signed [EXPONENT_BITS-1:0] waiting_exponent, placed_exponent;
  logic signed [RANK_BITS-1:0] top_1, top_2;
  sum_register #(.SUM_BITS(SUM_BITS), .EXPONENT_BITS(EXPONENT_BITS)) sum_2 (
      .clk(clk), .x(sum_read), .e(exponent_read), .sum(waiting), .exponent(waiting_exponent)
  );
  always_ff @(posedge clk) begin
    top_1 <= top;
    top_2 <= own ? joined : top_1;
  end

  // 3: the block's exponent, or what bounds a block that counts from an anchor
  logic signed [7:0] found, bound, unit_3, stored_3;
  logic signed [9:0] above, floor;
  logic beyond, clamped_3;
  requantizer_exponent #(.RANK_BITS(RANK_BITS)) u_exponent (
      .top(top_2), .form(4'(FORM)), .stored(found), .clamped(beyond)
  );
  assign above = 10'(found) + (GEOMETRIC ? 10'sd0 : 10'sd1);
  assign floor = 10'(anchor) - 10'(REACH);
  assign bound = found == -8'sd128 ? found : above > 10'(anchor) ? anchor : 8'(above < floor ? floor : above);
  sum_register #(.SUM_BITS(SUM_BITS), .EXPONENT_BITS(EXPONENT_BITS)) sum_3 (
      .clk(clk), .x(waiting), .e(waiting_exponent), .sum(placed), .exponent(placed_exponent)
  );
  always_ff @(posedge clk) begin
    unit_3    <= anchored ? anchor : found;
    stored_3  <= anchored ? bound : found;
    clamped_3 <= beyond & ~anchored;
  end

  // 4: the code, and as many cycles later as the pipeline is longer than four stages
  localparam int Last = LATENCY - 4;
  logic [BITS-1:0] made, codes[Last+1];
  logic signed [7:0] stored_4[Last+1];
  logic outside, saturated_4[Last+1], clamped_4[Last+1];
  encoder_code #(
      .BITS(BITS), .STORED_BITS(STORED_BITS), .HIDDEN(HIDDEN), .LARGEST(LARGEST), .FRACTION(FRACTION),
      .GEOMETRIC(GEOMETRIC), .SIGNED(SIGNED), .ROOTS(ROOTS), .SUM_BITS(SUM_BITS), .EXPONENT_BITS(EXPONENT_BITS)
  ) u_code (
      .sum(placed), .exponent(placed_exponent), .stored(unit_3), .code(made), .saturated(outside)
  );
  for (genvar i = 0; i <= Last; i++) begin : stage
    always_ff @(posedge clk) begin
      codes[i]       <= i == 0 ? made : codes[i==0?0:i-1];
      saturated_4[i] <= i == 0 ? outside : saturated_4[i==0?0:i-1];
      stored_4[i]    <= i == 0 ? stored_3 : stored_4[i==0?0:i-1];
      clamped_4[i]   <= i == 0 ? clamped_3 : clamped_4[i==0?0:i-1];
    end
  end
  assign code      = codes[Last];
  assign saturated = saturated_4[Last];
  assign stored    = stored_4[Last];
  assign clamped   = clamped_4[Last];
endmodule
