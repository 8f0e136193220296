// The softmax unit: a controller, lanes, trees over them, and parts for rows: softmax_step.step. The words of
// a tile lie in the vector buffer, and what belongs to a row in a memory of rows, both outside.
module softmax #(
    parameter int LANES               = 64,
    parameter int LATENCY             = 8,
    parameter int CODE_BITS           = 16,
    parameter int GUARD               = 4,
    parameter int FRACTION            = 16,
    parameter int SUM_BITS            = 40,
    parameter int COUNT               = 16,
    parameter int EXP2_SEGMENTS       = 64,
    parameter int RECIPROCAL_SEGMENTS = 64,
    parameter int EXP2_ADDRESS        = $clog2(EXP2_SEGMENTS / 2 + 1),
    parameter int RECIPROCAL_ADDRESS  = $clog2(RECIPROCAL_SEGMENTS / 2 + 1),
    parameter int ENTRY               = FRACTION + 1,
    parameter int BITS                = CODE_BITS + GUARD > ENTRY + 1 ? CODE_BITS + GUARD : ENTRY + 1
) (
    input  logic                          clk,
    input  logic                          rst,
    input  logic                          start,
    input  logic              [COUNT-1:0] last_row,
    input  logic              [COUNT-1:0] last_chunk,
    input  logic    [LANES*CODE_BITS-1:0] code,
    input  logic            [LANES*8-1:0] exponent,
    input  logic              [LANES-1:0] key,
    input  logic         [LANES*BITS-1:0] word,
    input  logic signed             [7:0] row_exponent,
    input  logic signed        [BITS-1:0] row_top,
    input  logic           [SUM_BITS-1:0] row_total,
    input  logic        [LANES*ENTRY-1:0] exp2_even,
    input  logic        [LANES*ENTRY-1:0] exp2_odd,
    input  logic              [ENTRY-1:0] reciprocal_even,
    input  logic              [ENTRY-1:0] reciprocal_odd,
    output logic                          code_read,
    output logic                          key_read,
    output logic                          word_read,
    output logic              [COUNT-1:0] read_address,
    output logic                          row_read,
    output logic              [COUNT-1:0] read_row,
    output logic                          exp2_read,
    output logic [LANES*EXP2_ADDRESS-1:0] exp2_even_address,
    output logic [LANES*EXP2_ADDRESS-1:0] exp2_odd_address,
    output logic                          reciprocal_read,
    output logic [RECIPROCAL_ADDRESS-1:0] reciprocal_even_address,
    output logic [RECIPROCAL_ADDRESS-1:0] reciprocal_odd_address,
    output logic                          write,
    output logic              [COUNT-1:0] write_address,
    output logic         [LANES*BITS-1:0] written,
    output logic                          top_write,
    output logic                          total_write,
    output logic              [COUNT-1:0] write_row,
    output logic signed        [BITS-1:0] top,
    output logic           [SUM_BITS-1:0] total,
    output logic                          done
);
  localparam logic [1:0] Align = 2'd0, Exponentiate = 2'd1, Divide = 2'd2;
  localparam int LaneBits = ENTRY + $clog2(LANES);

  // the chunk that is named in this cycle, and those of the cycles before
  logic to_valid, to_first, to_last;
  logic [1:0] to_phase;
  logic [COUNT-1:0] to_row, to_address;
  softmax_control #(.LATENCY(LATENCY), .COUNT(COUNT)) control (
      .clk(clk), .rst(rst), .start(start), .last_row(last_row), .last_chunk(last_chunk),
      .valid(to_valid), .phase(to_phase), .first(to_first), .last(to_last), .row(to_row),
      .address(to_address), .done(done)
  );
  logic valid[LATENCY], first[LATENCY], last[LATENCY];
  logic [1:0] phase[LATENCY];
  logic [COUNT-1:0] row[LATENCY], address[LATENCY];
  for (genvar i = 0; i < LATENCY; i++) begin : stage
    always_ff @(posedge clk) begin
      valid[i]   <= ~rst & (i == 0 ? to_valid : valid[i==0?0:i-1]);
      phase[i]   <= i == 0 ? to_phase : phase[i==0?0:i-1];
      first[i]   <= i == 0 ? to_first : first[i==0?0:i-1];
      last[i]    <= i == 0 ? to_last : last[i==0?0:i-1];
      row[i]     <= i == 0 ? to_row : row[i==0?0:i-1];
      address[i] <= i == 0 ? to_address : address[i==0?0:i-1];
    end
  end

  logic written_first;
  logic [1:0] word_phase;
  assign written_first = first[LATENCY-1];
  assign word_phase    = phase[5];

  // what is read: in pass 2 as soon as it is named, in the others late
  logic early;
  assign early           = to_valid & to_phase == Exponentiate;
  assign code_read       = valid[3] & phase[3] == Align;
  assign word_read       = early | (valid[3] & phase[3] == Divide);
  assign key_read        = early | code_read;
  assign read_address    = early ? to_address : address[3];
  assign row_read        = (to_valid & to_first & to_phase != Align) | (code_read & first[3]);
  assign read_row        = code_read ? row[3] : to_row;
  assign exp2_read       = valid[3] & phase[3] == Exponentiate;
  assign reciprocal_read = valid[2] & first[2] & phase[2] == Divide;

  logic signed [8:0] shift;
  logic [ENTRY-1:0] inverse;
  logic [5:0] place;
  softmax_row #(.GUARD(GUARD), .FRACTION(FRACTION), .SUM_BITS(SUM_BITS), .SEGMENTS(RECIPROCAL_SEGMENTS)) of_row (
      .clk(clk), .row_exponent(row_exponent), .total(row_total), .even(reciprocal_even), .odd(reciprocal_odd),
      .shift(shift), .inverse(inverse), .place(place),
      .even_address(reciprocal_even_address), .odd_address(reciprocal_odd_address)
  );

  logic [LANES*BITS-1:0] words;
  logic [LANES*ENTRY-1:0] powers;
  for (genvar i = 0; i < LANES; i++) begin : lane
    softmax_lane #(
        .CODE_BITS(CODE_BITS), .GUARD(GUARD), .FRACTION(FRACTION), .SEGMENTS(EXP2_SEGMENTS), .LATENCY(LATENCY)
    ) u (
        .clk(clk),
        .code(code[i*CODE_BITS+:CODE_BITS]),
        .exponent(exponent[i*8+:8]),
        .key(key[i]),
        .stored(word[i*BITS+:BITS]),
        .even(exp2_even[i*ENTRY+:ENTRY]),
        .odd(exp2_odd[i*ENTRY+:ENTRY]),
        .row_exponent(row_exponent),
        .top(row_top),
        .shift(shift),
        .inverse(inverse),
        .place(place),
        .phase(word_phase),
        .even_address(exp2_even_address[i*EXP2_ADDRESS+:EXP2_ADDRESS]),
        .odd_address(exp2_odd_address[i*EXP2_ADDRESS+:EXP2_ADDRESS]),
        .word(words[i*BITS+:BITS]),
        .written(written[i*BITS+:BITS])
    );
    assign powers[i*ENTRY+:ENTRY] = words[i*BITS+:ENTRY];
  end

  logic signed [BITS-1:0] lane_top;
  logic [LaneBits-1:0] lane_sum;
  softmax_largest #(.N(LANES), .W(BITS)) u_largest (.x(words), .y(lane_top));
  softmax_sum #(.N(LANES), .W(ENTRY)) u_sum (.x(powers), .y(lane_sum));
  softmax_totals #(.BITS(BITS), .SUM_BITS(SUM_BITS), .LANE_BITS(LaneBits), .LATENCY(LATENCY)) totals (
      .clk(clk), .first(written_first), .lane_top(lane_top), .lane_sum(lane_sum),
      .row_top(top), .row_total(total)
  );

  assign write         = valid[LATENCY-1];
  assign write_address = address[LATENCY-1];
  assign write_row     = row[LATENCY-1];
  assign top_write     = write & last[LATENCY-1] & phase[LATENCY-1] == Align;
  assign total_write   = write & last[LATENCY-1] & phase[LATENCY-1] == Exponentiate;
endmodule
